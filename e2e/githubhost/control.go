package main

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"

	"github.com/tagboat/tagboat/internal/sim/github"
)

// control does what people do at GitHub.
type control struct {
	server     *github.Server
	repository *github.Repository
	key        *rsa.PrivateKey
}

// asked are the fields of all the requests.
type asked struct {
	Branch, Message, Name, SHA, Event, Tag string
	Files                                  map[string]string
	Down                                   bool
}

func decode(w http.ResponseWriter, r *http.Request) (asked, bool) {
	var a asked
	if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return a, false
	}
	return a, true
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a caller that went away needs no answer
}

func (c control) commit(w http.ResponseWriter, r *http.Request) {
	a, ok := decode(w, r)
	if !ok {
		return
	}
	files := github.Files{}
	for name, text := range a.Files {
		files[name] = github.Text(text)
	}
	reply(w, map[string]string{"sha": c.repository.Commit(a.Branch, a.Message, files)})
}

func (c control) tag(w http.ResponseWriter, r *http.Request) {
	if a, ok := decode(w, r); ok {
		c.repository.Tag(a.Name, a.SHA)
		reply(w, struct{}{})
	}
}

func (c control) delivery(w http.ResponseWriter, r *http.Request) {
	a, ok := decode(w, r)
	if !ok {
		return
	}
	deliver := map[string]func(*github.Repository, string) github.Delivery{
		"push": c.server.Push, "create": c.server.Create, "release": c.server.Release,
	}[a.Event]
	if deliver == nil {
		http.Error(w, "unknown event "+a.Event, http.StatusBadRequest)
		return
	}
	d := deliver(c.repository, a.Tag)
	headers := map[string]string{}
	for name, values := range d.Header() {
		headers[name] = values[0]
	}
	reply(w, map[string]any{"headers": headers, "body": string(d.Body)})
}

func (c control) deployments(w http.ResponseWriter, _ *http.Request) {
	reply(w, c.server.Deployments(c.repository))
}

func (c control) statuses(w http.ResponseWriter, r *http.Request) {
	reply(w, c.server.CommitStatuses(c.repository, r.URL.Query().Get("sha")))
}

func (c control) checks(w http.ResponseWriter, r *http.Request) {
	runs := []github.CheckRun{}
	for _, run := range c.server.CheckRuns(c.repository) {
		if run.HeadSHA == r.URL.Query().Get("sha") {
			runs = append(runs, run)
		}
	}
	reply(w, runs)
}

// app tells the credentials of the app, made anew for each run.
func (c control) app(w http.ResponseWriter, _ *http.Request) {
	key := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(c.key)})
	reply(w, map[string]any{"app_id": appID, "private_key": string(key)})
}

// outage makes GitHub answer no question for as long as it is down.
func (c control) outage(w http.ResponseWriter, r *http.Request) {
	a, ok := decode(w, r)
	if !ok {
		return
	}
	c.server.OnRequest(func(r *http.Request) github.Fault {
		if a.Down && r.Method == http.MethodGet {
			return github.Fault{Status: http.StatusBadGateway}
		}
		return github.Fault{}
	})
	reply(w, struct{}{})
}
