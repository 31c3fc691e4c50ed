package github

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// enterprisePrefix is where GitHub Enterprise serves the API.
const enterprisePrefix = "/api/v3"

// The paths of archives and assets on a host of their own, on one that serves everything.
const (
	archivePath = "/_codeload"
	assetPath   = "/_assets"
)

// handler answers a request to a repository; the server's lock is held.
type handler func(r *Repository, w http.ResponseWriter, req *http.Request)

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern, h := range map[string]handler{
		"GET ":                                (*Repository).getRepository,
		"GET /installation":                   (*Repository).getInstallation,
		"GET /git/ref/{ref...}":               (*Repository).getRef,
		"GET /git/matching-refs/{ref...}":     (*Repository).listRefs,
		"GET /git/tags/{sha}":                 (*Repository).getTag,
		"GET /compare/{basehead...}":          (*Repository).compare,
		"GET /contents/{path...}":             (*Repository).getContents,
		"GET /tarball/{ref...}":               (*Repository).redirectToArchive,
		"GET /releases":                       (*Repository).listReleases,
		"GET /releases/{rest...}":             (*Repository).getRelease,
		"GET /deployments":                    (*Repository).listDeployments,
		"POST /deployments":                   (*Repository).createDeployment,
		"GET /deployments/{deployment}":       (*Repository).getDeployment,
		"POST /deployments/{number}/statuses": (*Repository).createDeploymentStatus,
		"POST /statuses/{sha}":                (*Repository).createStatus,
		"GET /commits/{sha}/check-runs":       (*Repository).listCheckRuns,
		"POST /check-runs":                    (*Repository).createCheckRun,
		"PATCH /check-runs/{run}":             (*Repository).updateCheckRun,
	} {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /repositories/{id}"+path, s.repository(h))
		mux.HandleFunc(method+" /repos/{owner}/{name}"+path, s.repository(h))
	}
	mux.HandleFunc("POST /app/installations/{installation}/access_tokens", s.createToken)
	mux.HandleFunc("GET /app/hook/deliveries", s.listDeliveries)
	mux.HandleFunc("POST /app/hook/deliveries/{delivery}/attempts", s.redeliver)
	mux.HandleFunc("GET "+archivePath+"/{owner}/{name}/legacy.tar.gz/{sha}", s.serveArchive)
	mux.HandleFunc("GET "+assetPath+"/{id}/{asset}", s.serveAsset)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { notFound(w) })
	return mux
}

// route maps GitHub's several hosts onto paths and dispatches the request.
func (s *Server) route(w http.ResponseWriter, req *http.Request) {
	target := *req.URL
	switch req.Host {
	case archiveHost:
		target.Path = archivePath + target.Path
	case assetHost:
		target.Path = assetPath + target.Path
	default:
		target.Path = strings.TrimPrefix(target.Path, enterprisePrefix)
	}
	target.RawPath = ""
	inner := req.WithContext(req.Context())
	inner.URL = &target
	reset := s.clock.Now().Add(time.Hour).Unix()
	w.Header().Set("X-RateLimit-Limit", "5000")
	w.Header().Set("X-RateLimit-Remaining", "4999")
	w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(reset, 10))
	s.mux.ServeHTTP(w, inner)
}

// repository finds the repository of a request and checks that the caller may use it.
func (s *Server) repository(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		who := s.authenticate(req)
		r := s.find(req)
		switch {
		case who == stranger:
			refuse(w, http.StatusUnauthorized, "Bad credentials")
		case r == nil, who == anonymous && !r.public:
			notFound(w)
		case who == anonymous && req.Method != http.MethodGet:
			refuse(w, http.StatusUnauthorized, "Requires authentication")
		case req.PathValue("id") == "" && !r.named(req):
			moved(w, req, r)
		default:
			h(r, w, req)
		}
	}
}

func (s *Server) find(req *http.Request) *Repository {
	if id := req.PathValue("id"); id != "" {
		number, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return nil
		}
		return s.repos[number]
	}
	return s.names[strings.ToLower(req.PathValue("owner")+"/"+req.PathValue("name"))]
}

// named tells whether the request names the repository by its present name.
func (r *Repository) named(req *http.Request) bool {
	return strings.EqualFold(req.PathValue("owner"), r.owner) && strings.EqualFold(req.PathValue("name"), r.name)
}

// moved redirects a former name to the id, as GitHub does after a rename.
func moved(w http.ResponseWriter, req *http.Request, r *Repository) {
	rest := strings.TrimPrefix(req.URL.EscapedPath(), "/repos/"+req.PathValue("owner")+"/"+req.PathValue("name"))
	target := fmt.Sprintf("%s/repositories/%d%s", baseURL(req), r.id, rest)
	if req.URL.RawQuery != "" {
		target += "?" + req.URL.RawQuery
	}
	w.Header().Set("Location", target)
	status := http.StatusTemporaryRedirect
	if req.Method == http.MethodGet {
		status = http.StatusMovedPermanently
	}
	reply(w, status, map[string]any{"message": "Moved Permanently", "url": target})
}

// baseURL is where the caller finds the API.
func baseURL(req *http.Request) string {
	if req.Host == apiHost || req.Host == archiveHost || req.Host == assetHost {
		return "https://" + apiHost
	}
	scheme := "http"
	if req.TLS != nil || req.URL.Scheme == "https" {
		scheme = "https"
	}
	base := scheme + "://" + req.Host
	if strings.HasPrefix(req.RequestURI, enterprisePrefix+"/") {
		base += enterprisePrefix
	}
	return base
}

// filesURL is where the caller finds archives (archivePath) or assets (assetPath).
func filesURL(req *http.Request, path string) string {
	if req.Host != apiHost {
		return strings.TrimSuffix(baseURL(req), enterprisePrefix) + path
	}
	if path == archivePath {
		return "https://" + archiveHost
	}
	return "https://" + assetHost
}

func (r *Repository) apiURL(base string) string { return base + "/repos/" + r.fullName() }

// page cuts one page out of n items by per_page and page, and links to the next.
func page(w http.ResponseWriter, req *http.Request, n int) (from, to int) {
	query := req.URL.Query()
	size := number(query, "per_page", 30)
	size = min(size, 100)
	current := number(query, "page", 1)
	from = min((current-1)*size, n)
	to = min(from+size, n)
	if to < n {
		query.Set("page", strconv.Itoa(current+1))
		w.Header().Set("Link", fmt.Sprintf("<%s%s?%s>; rel=\"next\"", baseURL(req), req.URL.Path, query.Encode()))
	}
	return from, to
}

func number(query url.Values, key string, otherwise int) int {
	n, err := strconv.Atoi(query.Get(key))
	if err != nil || n < 1 {
		return otherwise
	}
	return n
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(marshal(v)) // an answer is a buffer: it takes everything
}

// replyTagged answers with a list and its ETag, or only says that the caller has
// it (GitHub, "Best practices for using the REST API": conditional requests).
func replyTagged(w http.ResponseWriter, req *http.Request, list []any) {
	sum := sha256.Sum256(append(marshal(list), w.Header().Get("Link")...))
	etag := fmt.Sprintf(`W/"%x"`, sum)
	w.Header().Set("ETag", etag)
	if req.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	reply(w, http.StatusOK, list)
}

func refuse(w http.ResponseWriter, status int, message string) {
	reply(w, status, map[string]any{
		"message":           message,
		"documentation_url": "https://docs.github.com/rest",
		"status":            strconv.Itoa(status),
	})
}

func notFound(w http.ResponseWriter) { refuse(w, http.StatusNotFound, "Not Found") }

// invalid is GitHub's 422 for one field.
func invalid(w http.ResponseWriter, resource, field, message string) {
	reply(w, http.StatusUnprocessableEntity, map[string]any{
		"message": "Validation Failed",
		"errors": []any{map[string]any{
			"resource": resource, "field": field, "code": "custom", "message": message,
		}},
		"documentation_url": "https://docs.github.com/rest",
	})
}
