//! `check` and `explain`: what a configuration would do. Asks no proxy.

use super::answer::{Failure, print, usage};
use super::{args, files};
use crate::config::{Config, ConfigErrors};
use crate::policy::RuntimeTag;
use crate::report::check;
use crate::report::explain::{self, ExplainError, Value};

pub(super) fn check(args: &args::Check) -> Result<(), Failure> {
    let no = |errors: ConfigErrors| Failure::No(errors.to_string());
    let config = Config::load(&args.config).map_err(no)?;
    let Some(old) = &args.against else {
        return print(&check::summary(&config));
    };
    let step = check::step(&Config::load(old).map_err(no)?, &config);
    let conclusion = step.conclusion();
    if step.is_accepted() {
        return print(&format!("{step}{conclusion}\n"));
    }
    print(&step.to_string())?;
    Err(Failure::No(conclusion))
}

pub(super) fn explain(args: &args::Explain) -> Result<(), Failure> {
    let config = Config::load(&args.config).map_err(usage)?;
    let tag = RuntimeTag::parse(&args.runtime).map_err(usage)?;
    let value = match &args.value {
        None => None,
        Some(path) => {
            let bytes =
                files::read(path).map_err(|error| usage(format!("{}: {error}", path.display())))?;
            Some(Value::new(&config.snapshot.pickles, args.flags, bytes))
        }
    };
    let explanations: Vec<String> = args
        .keys
        .iter()
        .map(|key| explain::explain(&config, &tag, key, value.as_ref()).map(|e| e.to_string()))
        .collect::<Result<_, _>>()
        .map_err(|error| match error {
            ExplainError::NoNamespace(_) => Failure::No(error.to_string()),
            _ => usage(error),
        })?;
    print(&explanations.join("\n"))
}
