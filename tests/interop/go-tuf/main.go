// The client that agents in the field carry, go-tuf 0.5.2, as a command.
//
//	go-tuf URL STATE [-root FILE] [TARGET FILE]...
//
// begins with the trusted root of -root, or goes on with STATE, refreshes, and downloads each
// TARGET to FILE. It prints the version of targets.json that it then trusts.
//
//	go-tuf canonical FILE
//
// prints the form that is signed of each line of FILE, in hex.
//
//	go-tuf between STEPS STATE TARGET
//
// looks at a repository between the steps of a publication.
//
//	go-tuf follow URL STATE TARGET SEED
//
// looks again and again until standard input ends.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/theupdateframework/go-tuf/client"
	store "github.com/theupdateframework/go-tuf/client/filejsonstore"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 2 && args[0] == "canonical" {
		return canonical(args[1])
	}
	if len(args) == 4 && args[0] == "between" {
		return between(args[1], args[2], args[3])
	}
	if len(args) == 5 && args[0] == "follow" {
		seed, err := strconv.ParseInt(args[4], 10, 64)
		if err != nil {
			return err
		}
		follow(args[1], args[2], args[3], seed)
		return nil
	}
	if len(args) < 2 {
		return errors.New("usage: go-tuf URL STATE [-root FILE] [TARGET FILE]...")
	}
	local, err := store.NewFileJSONStore(args[1])
	if err != nil {
		return err
	}
	remote, err := client.HTTPRemoteStore(args[0], nil, nil)
	if err != nil {
		return err
	}
	agent := client.NewClient(local, remote)
	args = args[2:]
	if len(args) >= 2 && args[0] == "-root" {
		root, err := os.ReadFile(args[1])
		if err != nil {
			return err
		}
		if err := agent.Init(root); err != nil {
			return fmt.Errorf("init: %w", err)
		}
		args = args[2:]
	}
	if _, err := agent.Update(); err != nil {
		return fmt.Errorf("update: %w", err)
	}
	for ; len(args) >= 2; args = args[2:] {
		if err := download(agent, args[0], args[1]); err != nil {
			return fmt.Errorf("download %s: %w", args[0], err)
		}
	}
	version, err := trustedVersion(local)
	if err != nil {
		return err
	}
	fmt.Println(version)
	return nil
}

func trustedVersion(local client.LocalStore) (int64, error) {
	metadata, err := local.GetMeta()
	if err != nil {
		return 0, err
	}
	var targets struct {
		Signed struct {
			Version int64 `json:"version"`
		} `json:"signed"`
	}
	err = json.Unmarshal(metadata["targets.json"], &targets)
	return targets.Signed.Version, err
}

type destination struct{ *os.File }

func (d destination) Delete() error {
	return errors.Join(d.Close(), os.Remove(d.Name()))
}

func download(agent *client.Client, target, path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return agent.Download(target, destination{file})
}
