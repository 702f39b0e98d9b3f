package main

import (
	"bytes"
	"crypto/md5"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// The writing half of the XML API, told on to the JSON API of `storage`.
type xmlAPI struct {
	storage http.Handler
	lock    sync.Mutex
	uploads map[string]*upload
}

// A multipart upload that is under way.
type upload struct {
	header http.Header
	parts  map[int][]byte
}

func newXML(storage http.Handler) *xmlAPI {
	return &xmlAPI{storage: storage, uploads: map[string]*upload{}}
}

// Bucket and object of a request.
func split(r *http.Request) (string, string) {
	bucket, object, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	bucket, _ = url.PathUnescape(bucket)
	object, _ = url.PathUnescape(object)
	return bucket, object
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml; charset=UTF-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version='1.0' encoding='UTF-8'?><Error><Code>%s</Code>"+
		"<Message>%s</Message></Error>", code, http.StatusText(status))
}

func (a *xmlAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bucket, object := split(r)
	if a.json(http.MethodGet, "/storage/v1/b/"+url.PathEscape(bucket), nil, nil).Code != http.StatusOK {
		refuse(w, http.StatusNotFound, "NoSuchBucket")
		return
	}
	query := r.URL.Query()
	id := query.Get("uploadId")
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		a.storage.ServeHTTP(w, r)
	case r.Method == http.MethodPut && id != "":
		a.part(w, r, id)
	case r.Method == http.MethodPut && r.Header.Get("x-goog-copy-source") != "":
		a.copied(w, r, bucket, object)
	case r.Method == http.MethodPut:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			refuse(w, http.StatusBadRequest, "IncompleteBody")
			return
		}
		a.put(w, bucket, object, r.Header, body, nil)
	case r.Method == http.MethodPost && query.Has("uploads"):
		a.begin(w, r, bucket, object)
	case r.Method == http.MethodPost && id != "":
		a.complete(w, r, bucket, object, id)
	case r.Method == http.MethodDelete && id != "":
		a.lock.Lock()
		delete(a.uploads, id)
		a.lock.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete:
		path := "/storage/v1/b/" + url.PathEscape(bucket) + "/o/" + url.PathEscape(object)
		if a.json(http.MethodDelete, path, nil, nil).Code >= 300 {
			refuse(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed")
	}
}

// A request to the JSON API.
func (a *xmlAPI) json(method, path string, header http.Header, body []byte) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, bytes.NewReader(body))
	for name, values := range header {
		request.Header[name] = values
	}
	answer := httptest.NewRecorder()
	a.storage.ServeHTTP(answer, request)
	return answer
}

// "Upload an object": the precondition is a header here and a parameter there.
func (a *xmlAPI) put(w http.ResponseWriter, bucket, object string, from http.Header, body []byte,
	answer any) {
	query := url.Values{"uploadType": {"media"}, "name": {object}}
	if generation := from.Get("x-goog-if-generation-match"); generation != "" {
		query.Set("ifGenerationMatch", generation)
	}
	header := http.Header{}
	for _, name := range []string{"Content-Type", "Cache-Control"} {
		if value := from.Get(name); value != "" {
			header.Set(name, value)
		}
	}
	path := "/upload/storage/v1/b/" + url.PathEscape(bucket) + "/o?" + query.Encode()
	done := a.json(http.MethodPost, path, header, body)
	switch {
	case done.Code == http.StatusPreconditionFailed:
		refuse(w, done.Code, "PreconditionFailed")
		return
	case done.Code != http.StatusOK:
		refuse(w, done.Code, "InvalidArgument")
		return
	}
	var made struct{ Etag, Generation string }
	if err := json.Unmarshal(done.Body.Bytes(), &made); err != nil {
		refuse(w, http.StatusInternalServerError, "InternalError")
		return
	}
	w.Header().Set("ETag", made.Etag)
	w.Header().Set("x-goog-generation", made.Generation)
	if answer != nil {
		_ = xml.NewEncoder(w).Encode(answer)
	}
}

// "Copy an object": headers go with it.
func (a *xmlAPI) copied(w http.ResponseWriter, r *http.Request, bucket, object string) {
	source := strings.TrimPrefix(r.Header.Get("x-goog-copy-source"), "/")
	from, name, _ := strings.Cut(source, "/")
	from, _ = url.PathUnescape(from)
	name, _ = url.PathUnescape(name)
	path := "/storage/v1/b/" + url.PathEscape(from) + "/o/" + url.PathEscape(name) +
		"/rewriteTo/b/" + url.PathEscape(bucket) + "/o/" + url.PathEscape(object)
	if a.json(http.MethodPost, path, nil, nil).Code != http.StatusOK {
		refuse(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	fmt.Fprint(w, "<CopyObjectResult></CopyObjectResult>")
}

// "Initiate a multipart upload".
func (a *xmlAPI) begin(w http.ResponseWriter, r *http.Request, bucket, object string) {
	a.lock.Lock()
	id := "upload-" + strconv.Itoa(len(a.uploads)+1)
	for a.uploads[id] != nil {
		id += "-"
	}
	a.uploads[id] = &upload{r.Header.Clone(), map[int][]byte{}}
	a.lock.Unlock()
	_ = xml.NewEncoder(w).Encode(struct {
		XMLName               xml.Name `xml:"InitiateMultipartUploadResult"`
		Bucket, Key, UploadId string
	}{Bucket: bucket, Key: object, UploadId: id})
}

// "Upload a part".
func (a *xmlAPI) part(w http.ResponseWriter, r *http.Request, id string) {
	number, err := strconv.Atoi(r.URL.Query().Get("partNumber"))
	body, failed := io.ReadAll(r.Body)
	a.lock.Lock()
	defer a.lock.Unlock()
	begun := a.uploads[id]
	if err != nil || failed != nil || begun == nil {
		refuse(w, http.StatusNotFound, "NoSuchUpload")
		return
	}
	begun.parts[number] = body
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, md5.Sum(body)))
}

// "Complete a multipart upload": the parts that are named, which must be those that came.
func (a *xmlAPI) complete(w http.ResponseWriter, r *http.Request, bucket, object, id string) {
	var wanted struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	err := xml.NewDecoder(r.Body).Decode(&wanted)
	a.lock.Lock()
	begun := a.uploads[id]
	a.lock.Unlock()
	if err != nil || begun == nil || len(wanted.Part) == 0 {
		refuse(w, http.StatusBadRequest, "InvalidArgument")
		return
	}
	var whole []byte
	for _, part := range wanted.Part {
		body, there := begun.parts[part.PartNumber]
		if !there || part.ETag != fmt.Sprintf(`"%x"`, md5.Sum(body)) {
			refuse(w, http.StatusBadRequest, "InvalidPart")
			return
		}
		whole = append(whole, body...)
	}
	a.lock.Lock()
	delete(a.uploads, id)
	a.lock.Unlock()
	a.put(w, bucket, object, begun.header, whole, struct {
		XMLName           xml.Name `xml:"CompleteMultipartUploadResult"`
		Bucket, Key, ETag string
	}{Bucket: bucket, Key: object, ETag: fmt.Sprintf(`"%x"`, md5.Sum(whole))})
}
