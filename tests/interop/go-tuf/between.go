package main

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/theupdateframework/go-tuf/client"
	store "github.com/theupdateframework/go-tuf/client/filejsonstore"
)

// The client between the steps of a publication; see ../python/between.py, whose lines it
// prints.
func between(steps, state, target string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(listener, http.FileServer(http.Dir(steps)))
	base := "http://" + listener.Addr().String() + "/"
	folders, err := os.ReadDir(steps)
	if err != nil {
		return err
	}
	last := folders[len(folders)-1].Name()
	for _, folder := range folders {
		mine, err := copied(state)
		if err != nil {
			return err
		}
		first := look(base+folder.Name(), mine, target)
		fmt.Println(folder.Name(), first, look(base+last, mine, target))
	}
	mine, err := copied(state)
	if err != nil {
		return err
	}
	said := "-"
	for _, folder := range folders {
		said = look(base+folder.Name(), mine, target)
	}
	fmt.Println("chain", said)
	return nil
}

func copied(state string) (string, error) {
	folder, err := os.MkdirTemp("", "state-")
	if err != nil {
		return "", err
	}
	files, err := os.ReadDir(state)
	if err != nil {
		return "", err
	}
	for _, file := range files {
		bytes, err := os.ReadFile(filepath.Join(state, file.Name()))
		if err != nil {
			return "", err
		}
		// The store refuses files that others may read.
		if err := os.WriteFile(filepath.Join(folder, file.Name()), bytes, 0o600); err != nil {
			return "", err
		}
	}
	return folder, nil
}

func look(url, state, target string) string {
	local, err := store.NewFileJSONStore(state)
	if err != nil {
		fmt.Fprintln(os.Stderr, url, err)
		return "-"
	}
	remote, err := client.HTTPRemoteStore(url, nil, nil)
	if err != nil {
		return "-"
	}
	agent := client.NewClient(local, remote)
	if _, err := agent.Update(); err != nil {
		fmt.Fprintln(os.Stderr, url, err)
		return "-"
	}
	version, err := trustedVersion(local)
	if err != nil {
		return "-"
	}
	folder, err := os.MkdirTemp("", "target-")
	if err != nil {
		return "-"
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "file")
	if err := download(agent, target, path); err != nil {
		fmt.Fprintln(os.Stderr, url, err)
		return "-"
	}
	bytes, err := os.ReadFile(path)
	if err != nil {
		return "-"
	}
	return fmt.Sprintf("%d %x", version, sha256.Sum256(bytes))
}
