//go:build tools

// go-tuf's own command, built from this module's sums.
package main

import _ "github.com/theupdateframework/go-tuf/cmd/tuf"
