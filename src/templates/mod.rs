//! Scripts, units and documents that land on a host, filled in.
//!
//! A template is a handlebars file under `templates/`, taken in when fleetpack is compiled and
//! called by its path there without `.hbs`. Strict mode: a name that the data lack is an
//! error. handlebars' own (HTML) escaping is off; every placeholder goes through a helper
//! named after the grammar it lands in (`{{sh_single url}}`, see [`escape`]), and a value that
//! the grammar cannot carry is refused.

pub mod escape;

use std::sync::OnceLock;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext, RenderError,
    RenderErrorReason,
};
use serde::Serialize;

use escape::EscapeError;

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../templates/", $name, ".hbs")))),*]
    };
}

/// Every template: its name and text.
const LINUX: &[(&str, &str)] = templates![
    "linux/administrator",
    "linux/agent/after_install",
    "linux/agent/after_remove",
    "linux/agent/before_remove",
    "linux/agent/handover",
    "linux/arch/install",
    "linux/deb/changelog",
    "linux/deb/copyright",
    "linux/deb/postinst",
    "linux/deb/postrm",
    "linux/deb/preinst",
    "linux/deb/prerm",
    "linux/environment",
    "linux/functions",
    "linux/orbit.service",
    "linux/rpm/post",
    "linux/rpm/posttrans",
    "linux/rpm/postun",
    "linux/rpm/pre",
    "linux/rpm/preun",
];
const MACOS: &[(&str, &str)] = templates![
    "macos/after-install",
    "macos/launch-daemon.plist",
    "macos/mdm-manifest.plist",
    "macos/mobileconfig",
    "macos/pkg/Distribution",
    "macos/pkg/PackageInfo",
    "macos/pkg/script",
    "macos/pkg/toc.xml",
];
const WINDOWS: &[(&str, &str)] = templates![
    "windows/Detection.xml",
    "windows/installer_utils.ps1",
    "windows/osquery.man",
];

const STATUS: &[(&str, &str)] = templates!["status/page.html"];
const SAMPLE: &[(&str, &str)] = templates!["sample/agent.sh"];

type Escape = fn(&str) -> Result<String, EscapeError>;

const HELPERS: &[(&str, Escape)] = &[
    ("deb_line", escape::deb_line),
    ("msi_formatted", escape::msi_formatted),
    ("powershell_single", escape::powershell_single),
    ("sh_single", escape::sh_single),
    ("systemd_env", escape::systemd_env),
    ("systemd_unit", escape::systemd_unit),
    ("verbatim", escape::verbatim),
    ("word", escape::word),
    ("xml_text", escape::xml_text),
];

/// A template could not be filled in.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// A value cannot stand in the template's grammar.
    #[error("{value} cannot be written")]
    Refused {
        /// The placeholder's name.
        value: String,
        /// What is wrong with it.
        source: EscapeError,
    },
    /// Template and data do not fit: a fault of fleetpack.
    #[error("cannot fill in the template {name}")]
    Render {
        /// Which template.
        name: String,
        /// The template engine's words.
        source: Box<RenderError>,
    },
    /// A template is malformed: a fault of fleetpack.
    #[error("the template {name} is malformed: {reason}")]
    Malformed {
        /// Which template.
        name: &'static str,
        /// The template engine's words.
        reason: String,
    },
}

/// Fills in the template `name` with `data`, a structure or map whose fields are its
/// placeholders.
pub fn render(name: &str, data: &impl Serialize) -> Result<String, TemplateError> {
    static REGISTRY: OnceLock<Result<Handlebars<'static>, (&'static str, String)>> =
        OnceLock::new();
    let registry = REGISTRY.get_or_init(registry).as_ref();
    let registry = registry.map_err(|(name, reason)| TemplateError::Malformed {
        name,
        reason: reason.clone(),
    })?;
    registry
        .render(name, data)
        .map_err(|error| told_apart(name, error))
}

fn registry() -> Result<Handlebars<'static>, (&'static str, String)> {
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    registry.register_escape_fn(handlebars::no_escape);
    for (name, escape) in HELPERS {
        registry.register_helper(name, Box::new(Escaping(*escape)));
    }
    for (name, text) in all() {
        registry
            .register_template_string(name, text)
            .map_err(|error| (*name, error.to_string()))?;
    }
    Ok(registry)
}

fn all() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    [LINUX, MACOS, WINDOWS, STATUS, SAMPLE]
        .into_iter()
        .flatten()
}

/// `{{escape value}}`: strings and whole numbers only.
struct Escaping(Escape);

/// An [`EscapeError`] with the placeholder's name, on its way through the template engine.
#[derive(Debug, thiserror::Error)]
#[error("{value} cannot be written")]
struct Refusal {
    value: String,
    source: EscapeError,
}

impl HelperDef for Escaping {
    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let Some(param) = helper.param(0) else {
            return Err(RenderErrorReason::ParamNotFoundForIndex("escape", 0).into());
        };
        if param.is_value_missing() {
            return Err(RenderError::strict_error(param.relative_path()));
        }
        let value = match param.value() {
            serde_json::Value::String(value) => value.clone(),
            serde_json::Value::Number(number) if !number.is_f64() => number.to_string(),
            _ => return Err(RenderErrorReason::InvalidParamType("string").into()),
        };
        let text = (self.0)(&value).map_err(|source| {
            let value = param.relative_path().cloned().unwrap_or_default();
            RenderErrorReason::NestedError(Box::new(Refusal { value, source }))
        })?;
        Ok(out.write(&text)?)
    }
}

fn told_apart(name: &str, error: RenderError) -> TemplateError {
    if let RenderErrorReason::NestedError(nested) = error.reason()
        && let Some(refusal) = nested.downcast_ref::<Refusal>()
    {
        return TemplateError::Refused {
            value: refusal.value.clone(),
            source: refusal.source.clone(),
        };
    }
    TemplateError::Render {
        name: name.to_owned(),
        source: Box::new(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_well_formed() {
        assert_eq!(registry().map(|_| ()), Ok(()));
    }

    #[test]
    fn every_placeholder_names_its_grammar() {
        let known: Vec<&str> = HELPERS.iter().map(|(name, _)| *name).collect();
        for (name, text) in all() {
            for tag in text.split("{{").skip(1) {
                let tag = tag.split("}}").next().unwrap_or_default();
                let tag = tag.trim_matches(['~', ' ']);
                let first = tag.split([' ', '}']).next().unwrap_or_default();
                let control = first.starts_with(['#', '/', '!', '>']) || first == "else";
                assert!(control || known.contains(&first), "{name}: {{{{{tag}}}}}");
                assert!(!tag.starts_with(['{', '&']), "{name}: {{{{{tag}}}}}");
            }
        }
    }

    #[test]
    fn a_missing_name_is_an_error() {
        let error = render("linux/orbit.service", &serde_json::json!({}));
        assert!(
            matches!(error, Err(TemplateError::Render { .. })),
            "{error:?}"
        );
    }

    #[test]
    fn a_refused_value_is_named_and_not_shown() {
        let data = serde_json::json!({"variables": [{"name": "A", "value": "top\nsecret"}]});
        let error = render("linux/environment", &data).map_err(|error| {
            use std::error::Error;
            let source = error.source().map(ToString::to_string);
            (error.to_string(), source.unwrap_or_default())
        });
        let sentence = "a systemd environment file cannot carry a line break";
        assert_eq!(
            error,
            Err(("value cannot be written".to_owned(), sentence.to_owned()))
        );
    }
}
