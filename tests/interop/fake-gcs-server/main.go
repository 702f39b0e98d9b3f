// Google Cloud Storage on loopback: fake-gcs-server behind a thin layer of ours.
//
// fake-gcs-server keeps the objects, counts generations, judges preconditions and answers reads
// and lists. It lacks the writing half of the XML API, which fleetpack speaks (put, copy,
// multipart upload, delete): xml.go translates these requests into its JSON API. login.go is
// ours alone: who may write. What both are is known from Google's public documentation.
//
//	fake-gcs-server PORT BUCKET PUBLIC_KEY
//
// serves one empty BUCKET on 127.0.0.1. Everybody may read its objects; for anything else a
// request needs a token that the holder of the private half of PUBLIC_KEY (PEM) signed, or one
// that the instance's metadata server, which is on the same port, handed out.
package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: fake-gcs-server PORT BUCKET PUBLIC_KEY")
	}
	address := "127.0.0.1:" + args[0]
	storage, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		NoListener: true,
		PublicHost: address,
		Writer:     io.Discard,
	})
	if err != nil {
		return err
	}
	storage.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: args[1]})
	door, err := newDoor(args[2], newXML(storage.HTTPHandler()))
	if err != nil {
		return err
	}
	return http.ListenAndServe(address, door)
}
