module fleetpack.test/go-tuf

go 1.22

require (
	github.com/secure-systems-lab/go-securesystemslib v0.4.0
	github.com/theupdateframework/go-tuf v0.5.2
)

require (
	github.com/flynn/go-docopt v0.0.0-20140912013429-f6dd2ebbb31e // indirect
	golang.org/x/crypto v0.0.0-20211117183948-ae814b36b871 // indirect
	golang.org/x/sys v0.0.0-20220722155257-8c9f86f7a55f // indirect
	golang.org/x/term v0.0.0-20210927222741-03fcf44c2211 // indirect
)
