//! What a command line says about reading a model, with the words of the elements' properties.

use gsttensorrt::error::{Error, ErrorKind};
use model::head::{ColorChoice, HeadChoice, ModelChoice, NormalizationChoice, ResizeChoice};
use serde::de::DeserializeOwned;

#[derive(clap::Args, Debug, Clone)]
#[group(id = "reading", multiple = true)]
pub struct ReadingArguments {
    /// What the model's outputs mean, as the property head.
    #[arg(long, default_value = "auto", value_parser = nick::<HeadChoice>)]
    head: HeadChoice,
    /// How pixel values become the input's, as the property normalization.
    #[arg(long)]
    normalization: Option<String>,
    /// How frames are fitted into the input, as the property resize.
    #[arg(long, default_value = "auto", value_parser = nick::<ResizeChoice>)]
    resize: ResizeChoice,
    /// The order of the input's channels, as the property color.
    #[arg(long, default_value = "auto", value_parser = nick::<ColorChoice>)]
    color: ColorChoice,
}

fn nick<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

impl ReadingArguments {
    /// # Errors
    /// The normalization can't be read.
    pub fn choice(&self) -> Result<ModelChoice, Error> {
        let normalization = self.normalization.as_deref().map(str::parse::<NormalizationChoice>).transpose();
        let normalization = normalization
            .map_err(|text| Error::new(ErrorKind::Setting, format!("--normalization: {text}")))?
            .unwrap_or_default();
        Ok(ModelChoice { head: self.head, normalization, resize: self.resize, color: self.color })
    }
}
