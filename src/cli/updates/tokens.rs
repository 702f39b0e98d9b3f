//! `--key ROLE=pkcs11:…`: keys on tokens, and their PINs: from `FLEET_<ROLE>_PIN`, from the
//! URI's `pin-source`, or typed without echo.

use std::str::FromStr;

use zeroize::Zeroizing;

use super::{CliError, Surroundings};
use crate::tuf::metadata::Role;
use crate::tuf::repository::Tokens;
use crate::tuf::token::{self, Request, Uri};

/// A role and the key of a token.
#[derive(Clone, Debug)]
pub struct Named {
    role: Role,
    uri: Uri,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (role, uri) = text
            .split_once('=')
            .ok_or("a token's key is given as ROLE=pkcs11:…")?;
        Ok(Self {
            role: role.parse()?,
            uri: uri.parse()?,
        })
    }
}

/// Finds the keys and logs in.
pub fn open(named: &[Named], surroundings: &Surroundings) -> Result<Tokens, CliError> {
    let mut requests = Vec::new();
    for Named { role, uri } in named {
        let (pin, origin) = pin(*role, uri, surroundings)?;
        requests.push(Request {
            uri: uri.clone(),
            pin,
            origin,
        });
    }
    let module = surroundings.variable("FLEETPACK_PKCS11_MODULE");
    let keys = token::open(requests, module.map(Into::into))?;
    let mut tokens = Tokens::new();
    for (named, key) in named.iter().zip(keys) {
        tokens.entry(named.role).or_default().push(key);
    }
    Ok(tokens)
}

fn pin(
    role: Role,
    uri: &Uri,
    surroundings: &Surroundings,
) -> Result<(Zeroizing<String>, String), CliError> {
    let variable = format!("FLEET_{}_PIN", role.name().to_uppercase());
    if let Some(path) = &uri.pin_source {
        let bytes = crate::fs::read_limited(path, 4096)?.map(Zeroizing::new);
        let bytes = bytes.ok_or_else(|| {
            CliError::usage(
                format!("the PIN's file {} does not exist", path.display()),
                "pin-source=file:/path/of/it in the URI names it",
            )
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            CliError::usage(
                format!("the PIN in {} is no UTF-8 text", path.display()),
                "write the PIN alone into the file",
            )
        })?;
        let text = Zeroizing::new(text.trim_end().to_owned());
        return Ok((text, path.display().to_string()));
    }
    if let Some(pin) = surroundings.secret(&variable) {
        return Ok((pin, variable));
    }
    let typed = rpassword::prompt_password(format!("PIN of the token with the {role} key: "));
    let typed = typed.map_err(|_| {
        CliError::usage(
            format!("the PIN of the token with the {role} key is needed, and there is no terminal to ask for it"),
            format!("export {variable}=…"),
        )
    })?;
    Ok((Zeroizing::new(typed), "what was typed".to_owned()))
}
