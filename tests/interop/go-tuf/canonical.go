package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
)

// Prints the canonical form of each line of a file, in hex.
func canonical(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		var value any
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.UseNumber()
		if err := decoder.Decode(&value); err != nil {
			return err
		}
		form, err := cjson.EncodeCanonical(value)
		if err != nil {
			return err
		}
		fmt.Printf("%x\n", form)
	}
	return nil
}
