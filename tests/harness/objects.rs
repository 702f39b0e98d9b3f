//! Object storage on loopback, by other people's programs: versitygw speaks S3 and honours
//! `If-Match`, azurite is Azure Blob Storage, and fake-gcs-server, behind a layer of ours that
//! `tests/interop/fake-gcs-server` describes, is Google Cloud Storage.

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

/// A running service with one empty bucket.
pub struct Objects {
    server: Server,
    bucket: &'static str,
    scheme: &'static str,
    endpoint: String,
    variables: Vec<(&'static str, String)>,
}

impl Objects {
    /// S3, with a bucket called `bucket`. The test needs `versitygw`.
    pub fn s3(scratch: &Scratch) -> Self {
        Self::s3_with(scratch, "bucket")
    }

    /// S3 with a bucket of this name.
    pub fn s3_with(scratch: &Scratch, bucket: &'static str) -> Self {
        std::fs::create_dir_all(scratch.join(".s3/root").join(bucket)).unwrap();
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
            bucket,
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
            bucket: "bucket",
            scheme: "az",
            endpoint,
            variables: vec![
                ("AZURE_STORAGE_ACCOUNT_NAME", AZURE_ACCOUNT.to_owned()),
                ("AZURE_STORAGE_ACCOUNT_KEY", AZURE_KEY.to_owned()),
            ],
        }
    }

    /// Google Cloud Storage, with the key of a service account. The test needs
    /// `fake-gcs-server` and `openssl`.
    pub fn google(scratch: &Scratch) -> Self {
        std::fs::create_dir(scratch.join(".gcs")).unwrap();
        let kind = ["genpkey", "-algorithm", "RSA", "-out", ".gcs/key.pem"];
        scratch.tool("openssl", kind).ok();
        let public = [
            "pkey",
            "-in",
            ".gcs/key.pem",
            "-pubout",
            "-out",
            ".gcs/public.pem",
        ];
        scratch.tool("openssl", public).ok();
        // As Google's console gives it out.
        let account = serde_json::json!({
            "type": "service_account",
            "project_id": "example",
            "private_key_id": "1",
            "private_key": scratch.text(".gcs/key.pem"),
            "client_email": "publisher@example.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": "https://oauth2.googleapis.com/token",
        });
        let account = scratch.write(".gcs/account.json", account.to_string());
        let port = free_port();
        let mut command = Command::new(tools::find("fake-gcs-server").unwrap());
        command
            .args([&port.to_string(), "bucket"])
            .arg(scratch.join(".gcs/public.pem"))
            .env_clear();
        let server = Server::start(command, port);
        Self {
            endpoint: server.url.clone(),
            bucket: "bucket",
            scheme: "gs",
            variables: vec![
                (
                    "GOOGLE_APPLICATION_CREDENTIALS",
                    account.display().to_string(),
                ),
                ("STORAGE_EMULATOR_HOST", server.url.clone()),
            ],
            server,
        }
    }

    /// `s3://BUCKET/PREFIX`, or the other schemes'.
    pub fn url(&self, prefix: &str) -> String {
        format!("{}://{}/{prefix}", self.scheme, self.bucket)
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
        let bucket = self.bucket;
        let policy = serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": "*",
                "Action": ["s3:GetObject", "s3:ListBucket"],
                "Resource": [
                    format!("arn:aws:s3:::{bucket}"),
                    format!("arn:aws:s3:::{bucket}/*"),
                ],
            }],
        });
        let url = format!("{}/{bucket}?policy=", self.server.url);
        self.curl(scratch, "PUT", &url, &policy.to_string()).ok();
        format!("{}/{bucket}", self.server.url)
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
