//! Merging configuration layers as TOML tables.

use std::path::Path;

use aneal_model::ModelConfig;
use toml::{Table, Value};

use super::{RunConfig, preset};
use crate::{Error, Result};

/// The loss scale at first, and updates until it is doubled, where gradients go through fp16. Engines
/// multiply gradients below 2^-14 or so away, and hold sums below 2^15 (C64, C65): the window is found
/// from its upper end, since only overflow can be seen.
const FP16_LOSS_SCALE: (f64, i64) = (65_536.0, 1000);

/// A configuration being put together, later layers over earlier ones.
#[derive(Clone, Debug)]
pub struct Layers {
    table: Table,
}

impl Layers {
    /// Starts from a preset.
    ///
    /// # Errors
    /// [`Error::Config`] if there is none of this name.
    pub fn preset(name: &str) -> Result<Self> {
        Ok(Self { table: parse(preset(name)?, &format!("preset {name}"))? })
    }

    /// Starts from a file. With `preset = "NAME"` at its top, the file is laid over that preset.
    ///
    /// # Errors
    /// A file that cannot be read, or is not TOML.
    pub fn file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
        let mut table = parse(&text, &path.display().to_string())?;
        let base = match table.remove("preset") {
            Some(Value::String(name)) => Self::preset(&name)?,
            Some(other) => {
                return Err(Error::Config(format!("preset = {other} must be a preset's name")));
            }
            None => return Ok(Self { table }),
        };
        let mut layers = base;
        merge(&mut layers.table, table);
        Ok(layers)
    }

    /// Sets one value by its dotted path, for example `optimizer.lr`.
    pub fn set(&mut self, path: &str, value: impl Into<Value>) {
        let mut value = value.into();
        for key in path.rsplit('.') {
            value = Value::Table(Table::from_iter([(key.to_owned(), value)]));
        }
        if let Value::Table(layer) = value {
            merge(&mut self.table, layer);
        }
    }

    /// Takes the value at a dotted path away, and everything below it.
    pub fn unset(&mut self, path: &str) {
        let (folders, key) = path.rsplit_once('.').unwrap_or(("", path));
        let mut table = Some(&mut self.table);
        for folder in folders.split('.').filter(|name| !name.is_empty()) {
            table = table.and_then(|t| t.get_mut(folder)).and_then(Value::as_table_mut);
        }
        if let Some(table) = table {
            table.remove(key);
        }
    }

    /// The model's shape as it stands.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn model(&self) -> Result<ModelConfig> {
        let mut layers = self.clone();
        layers.expand_model()?;
        let model = layers.table.remove("model").unwrap_or_else(|| Value::Table(Table::new()));
        model.try_into().map_err(invalid)
    }

    /// Sets one value from `path=value`, where the value is TOML or else a bare string.
    ///
    /// # Errors
    /// [`Error::Config`] without an `=`.
    pub fn assign(&mut self, assignment: &str) -> Result<()> {
        let Some((path, text)) = assignment.split_once('=') else {
            let reason = format!("{assignment:?} is no setting; write it as optimizer.lr=1e-3");
            return Err(Error::Config(reason));
        };
        let (path, text) = (path.trim(), text.trim());
        let value = parse(&format!("value = {text}"), path)
            .ok()
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(|| Value::String(text.to_owned()));
        self.set(path, value);
        Ok(())
    }

    /// The complete configuration.
    ///
    /// `model.preset` stands for all sizes of a shape; other keys of `[model]` override them.
    ///
    /// # Errors
    /// Unknown or missing keys, wrong types, values that cannot be.
    pub fn resolve(self) -> Result<RunConfig> {
        let config = self.resolve_unchecked()?;
        config.validate()?;
        Ok(config)
    }

    /// As [`resolve`](Self::resolve), but leaves [`RunConfig::validate`] to a caller that still
    /// changes values.
    ///
    /// # Errors
    /// Unknown or missing keys, wrong types.
    pub fn resolve_unchecked(mut self) -> Result<RunConfig> {
        self.expand_model()?;
        self.expand_loss_scale();
        Value::Table(self.table).try_into().map_err(invalid)
    }

    /// Whether the configuration as it stands computes on an emulated engine.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        let backend = self.table.get("backend").and_then(Value::as_table);
        backend.and_then(|table| table.get("kind")).and_then(Value::as_str) == Some("emulator")
    }

    /// Engines compute in fp16, which needs a loss scale where none is given.
    fn expand_loss_scale(&mut self) {
        if self.is_emulated() && !self.table.contains_key("loss_scale") {
            let (scale, growth) = FP16_LOSS_SCALE;
            self.set("loss_scale", scale);
            if !self.table.contains_key("loss_scale_growth") {
                self.set("loss_scale_growth", growth);
            }
        }
    }

    /// Puts the sizes of `model.preset` under the other keys of `[model]`.
    fn expand_model(&mut self) -> Result<()> {
        if let Some(Value::Table(model)) = self.table.get_mut("model")
            && let Some(Value::String(name)) = model.remove("preset")
        {
            let shape = Value::try_from(ModelConfig::preset(&name)?);
            let Ok(Value::Table(mut base)) = shape else {
                return Err(Error::Config(format!("model preset {name} is not a table")));
            };
            merge(&mut base, std::mem::take(model));
            *model = base;
        }
        Ok(())
    }
}

fn invalid(error: toml::de::Error) -> Error {
    Error::Config(error.message().to_owned())
}

fn parse(text: &str, origin: &str) -> Result<Table> {
    text.parse().map_err(|e| Error::Config(format!("{origin}: {e}")))
}

/// Lays `over` on `base`: tables are merged, everything else is replaced.
fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PRESETS;

    #[test]
    fn every_preset_resolves_and_survives_its_own_file() {
        for (name, _) in PRESETS {
            let config = Layers::preset(name).unwrap().resolve().unwrap();
            let text = toml::to_string(&config).unwrap();
            let again: RunConfig = toml::from_str(&text).unwrap();
            assert_eq!(config, again, "{name}");
        }
    }

    #[test]
    fn later_layers_win() {
        let mut layers = Layers::preset("pr801").unwrap();
        layers.set("optimizer.lr", 0.5);
        layers.assign("batch.tokens = 10240").unwrap();
        layers.assign("name=my run").unwrap();
        layers.assign("model.layers=3").unwrap();
        let config = layers.resolve().unwrap();
        assert_eq!(config.adamw().lr, 0.5);
        assert_eq!(config.batch.tokens, 10240);
        assert_eq!(config.name, "my run");
        assert_eq!((config.model.layers, config.model.dim), (3, 512));
    }

    #[test]
    fn engines_get_a_loss_scale_unless_one_is_given() {
        let resolved = |preset: &str, settings: &[&str]| {
            let mut layers = Layers::preset(preset).unwrap();
            settings.iter().for_each(|setting| layers.assign(setting).unwrap());
            let config = layers.resolve().unwrap();
            (config.loss_scale, config.loss_scale_growth)
        };
        let emulator = "backend.kind=emulator";
        assert_eq!(resolved("quickstart", &[]), (1.0, 0));
        assert_eq!(resolved("quickstart", &[emulator]), (65_536.0, 1000));
        assert_eq!(resolved("quickstart", &[emulator, "loss_scale=16.0"]), (16.0, 0));
        assert_eq!(resolved("pr801", &[emulator]), (256.0, 0)); // as published
    }

    #[test]
    fn unknown_and_missing_keys_are_named() {
        let mut layers = Layers::preset("quickstart").unwrap();
        layers.assign("optimizer.learning_rate=1").unwrap();
        let error = layers.resolve().unwrap_err().to_string();
        assert!(error.contains("learning_rate"), "{error}");

        assert!(Layers::preset("gpt5").unwrap_err().to_string().contains("quickstart"));
        assert!(Layers::preset("quickstart").unwrap().assign("lr").is_err());
    }
}
