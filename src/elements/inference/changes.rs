//! Changes to the options, by single properties or all at once, and their effects while playing.

use super::imp::Inference;
use super::properties::{self, Effect};
use super::settings::Settings;
use crate::elements::property::Properties;
use crate::options::InferenceOptions;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

impl Inference {
    /// The value of a property that is an option. Returns `None` for other properties.
    pub fn get(&self, properties: &Properties<InferenceOptions>, id: usize) -> Option<glib::Value> {
        self.with_settings(|settings| properties.get(&settings.options, id))
    }

    /// Sets an option from its property.
    pub fn set(
        &self,
        properties: &Properties<InferenceOptions>,
        id: usize,
        value: &glib::Value,
        spec: &glib::ParamSpec,
    ) {
        let effect = Effect::of(spec);
        self.change_settings(&[effect], |settings| properties.set(&mut settings.options, id, value));
    }

    /// Sets all options at once. Each difference takes effect as if its property had been set.
    pub fn set_options(&self, options: InferenceOptions) {
        let changed = self.with_settings(|settings| properties::differences(&settings.options, &options));
        let effects: Vec<_> = changed.iter().map(|spec| Effect::of(spec)).collect();
        self.change_settings(&effects, |settings| settings.options = options);
        for spec in changed {
            self.obj().notify_by_pspec(spec);
        }
    }

    /// Reopens the model with the current settings.
    pub(super) fn reopen(&self) {
        self.change_settings(&[Effect::Reopen], |_| {});
    }

    /// Changes the settings and applies the effects that they have while playing.
    fn change_settings(&self, effects: &[Effect], change: impl FnOnce(&mut Settings)) {
        let (reopen, resolve) = (effects.contains(&Effect::Reopen), effects.contains(&Effect::Resolve));
        let (before, after) = self.with_settings_mut(|settings| {
            let before = settings.options.interval;
            change(settings);
            if reopen {
                settings.model_changes += 1;
            }
            (before, settings.options.interval)
        });
        if resolve
            && let Some(opened) = self.models.get()
            && self.resolve(&opened)
            && after != before
        {
            // `trtpreprocess` makes tensors only for frames that are inferred.
            self.ask_upstream_again();
        }
        if reopen {
            self.open_anew();
        }
    }
}
