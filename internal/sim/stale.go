package sim

import (
	"slices"
	"strings"
	"time"
)

// StaleFor is how long after a write a read of Lambda can be answered from before it.
//
// AWS promises no order between a write of Lambda's control plane and the reads that follow
// it: only its event data stores say how consistent they are. What the simulation makes
// stale are the Get… and List… operations of Lambda. S3 reads after a write are consistent
// (S3 user guide, "Amazon S3 data consistency model"), as are the reads of DynamoDB that ask
// for it, and the ledger's all do.
const StaleFor = 10 * time.Second

// earlier is what a function or a layer was before its last write; nil if it was not there.
type earlier struct {
	function *function
	layer    *layer
	until    time.Time // the end of the time in which somebody may still see it
}

// object names what a call of Lambda is about; ok is false for lists of an account.
func (r request) object() (account, region, kind, name string, ok bool) {
	parts := strings.Split(r.resource, ":")
	if r.service != lambdaService || len(parts) < 7 {
		return "", "", "", "", false
	}
	return parts[4], parts[3], parts[5], parts[6], true
}

func (r request) reads() bool {
	return strings.HasPrefix(r.action, "Get") || strings.HasPrefix(r.action, "List")
}

// before copies what a write is going to change; nil if it changes nothing of Lambda. The
// cloud's lock is held.
func (r request) before() *earlier {
	account, name, kind, object, ok := r.object()
	if !ok || r.reads() || r.action == "Invoke" {
		return nil
	}
	c := r.session.cloud
	was := &earlier{until: c.clock.Now().Add(StaleFor)}
	in := c.region(account, name)
	if f := in.functions[object]; f != nil && kind == "function" {
		was.function = f.copied()
	}
	if l := in.layers[object]; l != nil && kind == "layer" {
		was.layer = l.copied()
	}
	return was
}

// remember keeps what was there before a write that was carried out.
func (r request) remember(was *earlier) {
	if was != nil {
		account, name, kind, object, _ := r.object()
		r.session.cloud.region(account, name).earlier[kind+"/"+object] = was
	}
}

// goBack lets a read see what was there before the last write, if that is not long ago, until
// the function that it answers is called. The cloud's lock is held.
func (r request) goBack() (forward func()) {
	account, name, kind, object, ok := r.object()
	in := r.session.cloud.region(account, name)
	was := in.earlier[kind+"/"+object]
	if !ok || !r.reads() || was == nil || r.session.cloud.clock.Now().After(was.until) {
		return func() {}
	}
	if kind == "layer" {
		return swap(in.layers, object, was.layer)
	}
	return swap(in.functions, object, was.function)
}

// swap puts another value in the place of one, nil being none, and answers how to undo it.
func swap[T any](all map[string]*T, name string, other *T) (back func()) {
	now, there := all[name]
	delete(all, name)
	if other != nil {
		all[name] = other
	}
	return func() {
		delete(all, name)
		if there {
			all[name] = now
		}
	}
}

// copied is a function that goes on without the other.
func (f *function) copied() *function {
	was := *f
	was.latest = f.latest.copied()
	was.published = make([]*version, len(f.published))
	for i, v := range f.published {
		was.published[i] = v.copied()
	}
	was.aliases = make(map[string]*alias, len(f.aliases))
	for name, a := range f.aliases {
		was.aliases[name] = ptr(*a)
	}
	was.provisioned = make(map[string]*provisioned, len(f.provisioned))
	for name, p := range f.provisioned {
		was.provisioned[name] = ptr(*p)
	}
	return &was
}

func (v *version) copied() *version {
	was := *v
	was.layers = slices.Clone(v.layers)
	return &was
}

func (l *layer) copied() *layer {
	was := *l
	was.versions = make([]*layerVersion, len(l.versions))
	for i, v := range l.versions {
		was.versions[i] = ptr(*v)
		was.versions[i].grants = slices.Clone(v.grants)
	}
	return &was
}
