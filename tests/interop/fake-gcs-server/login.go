package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	scope    = "https://www.googleapis.com/auth/cloud-platform"
	metadata = "/computeMetadata/v1/instance/service-accounts/default/token"
)

// Lets in who may: anybody to read an object, bearers of a token to do the rest.
type door struct {
	key    *rsa.PublicKey
	handed string
	inside http.Handler
}

func newDoor(keyFile string, inside http.Handler) (*door, error) {
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM in " + keyFile)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("no RSA key in " + keyFile)
	}
	handed := make([]byte, 16)
	if _, err := rand.Read(handed); err != nil {
		return nil, err
	}
	return &door{key, hex.EncodeToString(handed), inside}, nil
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == metadata {
		d.hand(w, r)
		return
	}
	_, object := split(r)
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	token, bears := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !bears && reads && object != "":
		d.inside.ServeHTTP(w, r)
	case !bears:
		refuse(w, http.StatusUnauthorized, "AuthenticationRequired")
	case token == d.handed || d.signed(token) == nil:
		d.inside.ServeHTTP(w, r)
	default:
		refuse(w, http.StatusUnauthorized, "AuthenticationRequired")
	}
}

// The metadata server of an instance ("Authenticate workloads using service accounts").
func (d *door) hand(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Metadata-Flavor") != "Google" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	w.Header().Set("Metadata-Flavor", "Google")
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"access_token": d.handed, "expires_in": 3599, "token_type": "Bearer",
	})
}

// A token that a service account signed for itself (AIP-4111): a JWT, RFC 7519, with RS256.
func (d *door) signed(token string) error {
	message, signature, ok := cutLast(token, ".")
	if !ok {
		return errors.New("no JWT")
	}
	given, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(message))
	if err := rsa.VerifyPKCS1v15(d.key, crypto.SHA256, digest[:], given); err != nil {
		return err
	}
	_, encoded, _ := strings.Cut(message, ".")
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return err
	}
	var claims struct {
		Iss, Sub, Scope string
		Iat, Exp        int64
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		return err
	}
	now := time.Now().Unix()
	switch {
	case claims.Iss == "" || claims.Iss != claims.Sub:
		return errors.New("signed by nobody")
	case claims.Scope != scope:
		return errors.New("scope " + claims.Scope)
	case claims.Iat > now+60 || claims.Exp < now || claims.Exp > claims.Iat+3600:
		return fmt.Errorf("from %d to %d", claims.Iat, claims.Exp)
	}
	return nil
}

func cutLast(text, mark string) (string, string, bool) {
	at := strings.LastIndex(text, mark)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(mark):], true
}
