//! Object storage on loopback, by other people's programs: versitygw speaks S3 and honours
//! `If-Match`, azurite is Azure Blob Storage.

use std::process::Command;

use fleetpack::store::object::Access;

use super::server::{Server, free_port};
use super::{Scratch, tools};

const ACCESS: &str = "test-access";
const SECRET: &str = "test-secret-key";
// The account that azurite always has, from its documentation.
const AZURE_ACCOUNT: &str = "devstoreaccount1";
const AZURE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A running service with one empty bucket called `bucket`.
pub struct Objects {
    server: Server,
    scheme: &'static str,
    endpoint: String,
    variables: Vec<(&'static str, String)>,
}

impl Objects {
    /// S3. The test needs `versitygw`.
    pub fn s3(scratch: &Scratch) -> Self {
        std::fs::create_dir_all(scratch.join(".s3/root/bucket")).unwrap();
        std::fs::create_dir_all(scratch.join(".s3/meta")).unwrap();
        let port = free_port();
        let mut command = Command::new(tools::find("versitygw").unwrap());
        command
            .args(["--port", &format!("127.0.0.1:{port}"), "--quiet"])
            .args(["--access", ACCESS, "--secret", SECRET])
            .arg("posix")
            .arg("--sidecar")
            .arg(scratch.join(".s3/meta"))
            .arg(scratch.join(".s3/root"))
            .env_clear();
        let server = Server::start(command, port);
        Self {
            endpoint: server.url.clone(),
            server,
            scheme: "s3",
            variables: vec![
                ("AWS_ACCESS_KEY_ID", ACCESS.to_owned()),
                ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
                ("AWS_REGION", "us-east-1".to_owned()),
            ],
        }
    }

    /// Azure. The test needs `azurite`, `node` and `curl`.
    pub fn azure(scratch: &Scratch) -> Self {
        let port = free_port();
        let folder = scratch.join(".azurite");
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new(tools::find("node").unwrap());
        command
            .arg(tools::find("azurite").unwrap())
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
            .args(["--silent", "--skipApiVersionCheck", "--disableTelemetry"])
            .arg("--location")
            .arg(&folder);
        let server = Server::start(command, port);
        let endpoint = format!("{}/{AZURE_ACCOUNT}", server.url);
        scratch
            .python("azure_container.py", [&endpoint, AZURE_ACCOUNT, AZURE_KEY])
            .ok();
        Self {
            server,
            scheme: "az",
            endpoint,
            variables: vec![
                ("AZURE_STORAGE_ACCOUNT_NAME", AZURE_ACCOUNT.to_owned()),
                ("AZURE_STORAGE_ACCOUNT_KEY", AZURE_KEY.to_owned()),
            ],
        }
    }

    /// `s3://bucket/PREFIX`, or the other schemes'.
    pub fn url(&self, prefix: &str) -> String {
        format!("{}://bucket/{prefix}", self.scheme)
    }

    /// Address of the service.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Credentials as variables.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
    }

    /// Endpoint and credentials.
    pub fn access(&self) -> Access {
        let variables = self.variables().map(|(n, v)| (n.to_owned(), v.to_owned()));
        Access::new(Some(self.endpoint.clone()), variables)
    }

    /// Lets everybody read and list the S3 bucket, and says where.
    pub fn public(&self, scratch: &Scratch) -> String {
        let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*",
            "Action":["s3:GetObject","s3:ListBucket"],
            "Resource":["arn:aws:s3:::bucket","arn:aws:s3:::bucket/*"]}]}"#;
        let url = format!("{}/bucket?policy=", self.server.url);
        self.curl(scratch, "PUT", &url, policy).ok();
        format!("{}/bucket", self.server.url)
    }

    /// A signed request to the S3 service.
    pub fn curl(
        &self,
        scratch: &Scratch,
        method: &str,
        url: &str,
        body: &str,
    ) -> super::scratch::Run {
        let user = format!("{ACCESS}:{SECRET}");
        let hash = hex::encode(fleetpack::compress::sha256(body.as_bytes()));
        let hash = format!("x-amz-content-sha256: {hash}");
        let args = [
            "-fsS",
            "--aws-sigv4",
            "aws:amz:us-east-1:s3",
            "-u",
            &user,
            "-X",
            method,
            "-H",
            &hash,
            "--data-binary",
            body,
            url,
        ];
        scratch.tool("curl", args)
    }
}
