module fleetpack.test/go-tuf

go 1.22

require github.com/theupdateframework/go-tuf v0.5.2

require github.com/secure-systems-lab/go-securesystemslib v0.4.0 // indirect
