//! GStreamer's model info: an ini file beside a model (`MODEL.onnx.modelinfo`), which says what its tensors are. Its
//! format, version 1, is documented with GStreamer's `GstAnalyticsModelInfo` (since 1.28), whose rules are followed here.

use super::{DimsOrder, ElementType, ModelInfo, Normalization, TensorInfo};

/// The section with facts about the whole file.
const HEADER: &str = "modelinfo";
/// The major version of the format.
const VERSION: &str = "1";
/// What GStreamer's generator of these files writes where the user has to fill in a value.
const PLACEHOLDER: &str = "PLACEHOLDER";

/// The content of a model info file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GstModelInfo {
    /// The name that the tensors of the model have in common.
    pub group: Option<String>,
    tensors: Vec<Section>,
}

/// What the file says of one tensor.
#[derive(Debug, Clone, PartialEq, Default)]
struct Section {
    name: String,
    id: Option<String>,
    /// `None`: an input or an output.
    input: Option<bool>,
    /// A name of `GstTensorDataType`.
    element: String,
    /// A negative number stands for any.
    dims: Option<Vec<i64>>,
    order: DimsOrder,
    /// Minimum and maximum of each channel.
    ranges: Vec<(f64, f64)>,
}

impl GstModelInfo {
    /// Parses the file's text.
    ///
    /// # Errors
    /// Says what is wrong, in which line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut sections: Vec<(String, Vec<Entry<'_>>)> = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                sections.push((name.to_owned(), Vec::new()));
            } else if let (Some((key, value)), Some((_, entries))) = (line.split_once('='), sections.last_mut()) {
                entries.push(Entry { number, key: key.trim_end(), value: value.trim_start() });
            } else {
                return Err(format!("line {number}: expected [SECTION], or KEY=VALUE in a section"));
            }
        }
        let header = sections.iter().find(|(name, _)| name == HEADER);
        let header = header.ok_or_else(|| format!("it has no section [{HEADER}], which version {VERSION}.0 needs"))?;
        let version = header.1.iter().find(|entry| entry.key == "version");
        let version = version.ok_or_else(|| format!("[{HEADER}] has no version"))?;
        if version.value.split_once('.').is_none_or(|(major, _)| major != VERSION) {
            return Err(version.wrong(&format!("versions {VERSION}.x are read")));
        }
        let group = header.1.iter().find(|entry| entry.key == "group-id").map(Entry::text).transpose()?;
        let tensors = sections.iter().filter(|(name, _)| name != HEADER);
        let tensors = tensors.map(|(name, entries)| Section::new(name, entries)).collect::<Result<_, _>>()?;
        Ok(Self { group, tensors })
    }

    /// The id and the order of dimensions of each output of the model, in the model's order.
    ///
    /// # Errors
    /// The file says nothing of an output.
    pub(super) fn outputs(&self, model: &ModelInfo) -> Result<Vec<(String, DimsOrder)>, String> {
        let ids = model.outputs.iter().enumerate().map(|(index, output)| {
            let section = self.section(false, index, output)?;
            let id = section.id.clone().ok_or_else(|| format!("[{}] has no id", section.name))?;
            Ok((id, section.order))
        });
        ids.collect()
    }

    /// The id of the model's input, if the file has one.
    ///
    /// # Errors
    /// The file says nothing of the input.
    pub(super) fn input_id(&self, model: &ModelInfo) -> Result<Option<&str>, String> {
        Ok(self.input(model)?.and_then(|section| section.id.as_deref()))
    }

    /// The input's normalisation, if the file has one.
    ///
    /// # Errors
    /// The file says nothing of the input, or its ranges don't fit an image.
    pub(super) fn normalization(&self, model: &ModelInfo) -> Result<Option<Normalization>, String> {
        let Some(section) = self.input(model)? else { return Ok(None) };
        let ranges = match section.ranges.as_slice() {
            [] => return Ok(None),
            &[all] => [all; 3],
            &[a, b, c] => [a, b, c],
            other => return Err(format!("[{}] has {} ranges; 1 or 3 are possible", section.name, other.len())),
        };
        let scale = ranges.map(|(min, max)| (max - min) / 255.0);
        if scale.contains(&0.0) {
            return Err(format!("[{}] has a range without extent", section.name));
        }
        // The value of a pixel is min + scale · pixel.
        let mean =
            [0, 1, 2].map(|channel| if ranges[channel].0 == 0.0 { 0.0 } else { -ranges[channel].0 / scale[channel] });
        Ok(Some(Normalization { mean: mean.map(|value| value as f32), scale: scale.map(|value| value as f32) }))
    }

    fn input(&self, model: &ModelInfo) -> Result<Option<&Section>, String> {
        model.image_input().map(|(index, input)| self.section(true, index, input)).transpose()
    }

    /// The section of a tensor: the one with its name, or else the one at its place, or else one with its dimensions.
    fn section(&self, input: bool, index: usize, tensor: &TensorInfo) -> Result<&Section, String> {
        let of_kind = || self.tensors.iter().filter(|section| section.input.is_none_or(|is_input| is_input == input));
        let named = of_kind().find(|section| section.name == tensor.name);
        let placed = of_kind().nth(index);
        let found = [named, placed].into_iter().flatten().find(|section| section.fits(tensor));
        let found = found.or_else(|| of_kind().find(|section| section.dims.is_some() && section.fits(tensor)));
        found.ok_or_else(|| {
            let TensorInfo { name, element, shape } = tensor;
            let kind = if input { "input" } else { "output" };
            let element = name_of(*element);
            format!("no section fits the model's {kind} {name}, type {element}, dims {shape:?} (-1: any)")
        })
    }
}

impl Section {
    fn new(name: &str, entries: &[Entry<'_>]) -> Result<Self, String> {
        let mut section = Self { name: name.to_owned(), ..Self::default() };
        for entry in entries {
            match (entry.key, entry.value) {
                ("id", _) => section.id = Some(entry.text()?),
                ("dir", "input") => section.input = Some(true),
                ("dir", "output") => section.input = Some(false),
                ("dir", _) => return Err(entry.wrong("input and output are possible")),
                ("type", _) => section.element = entry.text()?,
                ("dims", dims) => {
                    let dims = dims.trim_end_matches(',').split(',').map(|dim| dim.trim().parse());
                    let dims = dims.collect::<Result<_, _>>();
                    section.dims = Some(dims.map_err(|_| entry.wrong("numbers separated by commas are expected"))?);
                }
                ("dims-order", "row-major") => section.order = DimsOrder::RowMajor,
                ("dims-order", "col-major") => section.order = DimsOrder::ColMajor,
                ("dims-order", _) => return Err(entry.wrong("row-major and col-major are possible")),
                ("ranges", ranges) => {
                    let expected =
                        || entry.wrong("expected MIN,MAX for all channels, or one for each, separated by `;`");
                    let ranges = ranges.trim_end_matches(';').split(';').map(range);
                    section.ranges = ranges.collect::<Option<_>>().ok_or_else(expected)?;
                }
                // Other keys are for other programs.
                _ => {}
            }
        }
        Ok(section)
    }

    fn fits(&self, tensor: &TensorInfo) -> bool {
        let floats = ["float16", "float32"];
        // An engine may have other floats than the ONNX file that the model info describes.
        let element = name_of(tensor.element);
        let same_type = self.element == element || (floats.contains(&element) && floats.contains(&&*self.element));
        let same_dim = |(said, is): (&i64, &i64)| *said < 0 || said == is;
        let fit = |dims: &Vec<i64>| dims.len() == tensor.shape.len() && dims.iter().zip(&tensor.shape).all(same_dim);
        same_type && self.dims.as_ref().is_none_or(fit)
    }
}

/// One line of a section.
struct Entry<'a> {
    number: usize,
    key: &'a str,
    value: &'a str,
}

impl Entry<'_> {
    fn text(&self) -> Result<String, String> {
        match self.value {
            "" => Err(self.wrong("a value is expected")),
            value if value.starts_with(PLACEHOLDER) => Err(self.wrong("replace the placeholder")),
            value => Ok(value.to_owned()),
        }
    }

    fn wrong(&self, rule: &str) -> String {
        format!("line {}: {}={}: {rule}", self.number, self.key, self.value)
    }
}

fn range(text: &str) -> Option<(f64, f64)> {
    let (min, max) = text.split_once(',')?;
    let number = |text: &str| text.trim().parse().ok().filter(|number: &f64| number.is_finite());
    Some((number(min)?, number(max)?))
}

/// The name of the type in GStreamer.
fn name_of(element: ElementType) -> &'static str {
    match element {
        ElementType::F32 => "float32",
        ElementType::F16 => "float16",
        ElementType::U8 => "uint8",
        ElementType::I32 => "int32",
        ElementType::I64 => "int64",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of GStreamer's documentation.
    const SSD: &str = "[modelinfo]
version=1.0
group-id=ssd-mobilenet-v1-variant-1-out

[image_tensor:0]
id=image_tensor_0
type=uint8
dims=-1,-1,-1,3
dir=input
ranges=0.0,255.0;0.0,255.0;0.0,255.0

[detection_boxes:0]
id=ssd-mobilenet-v1-variant-1-out-boxes
type=float32
dims=-1,-1,4
dir=output

[num_detections:0]
id=generic-variant-1-out-count
type=float32
dims=-1
dir=output
dims-order=col-major
";

    fn tensor(name: &str, element: ElementType, shape: &[i64]) -> TensorInfo {
        TensorInfo { name: name.into(), element, shape: shape.to_vec() }
    }

    fn ssd() -> ModelInfo {
        ModelInfo {
            inputs: vec![tensor("image_tensor:0", ElementType::U8, &[-1, -1, -1, 3])],
            outputs: vec![
                tensor("num_detections:0", ElementType::F32, &[-1]),
                tensor("detection_boxes:0", ElementType::F32, &[-1, 100, 4]),
            ],
            ..ModelInfo::default()
        }
    }

    #[test]
    fn the_documentations_example_is_read() {
        let info = GstModelInfo::parse(SSD).unwrap();
        assert_eq!(info.group.as_deref(), Some("ssd-mobilenet-v1-variant-1-out"));
        let ids = info.outputs(&ssd()).unwrap();
        assert_eq!(ids[0], ("generic-variant-1-out-count".to_owned(), DimsOrder::ColMajor));
        assert_eq!(ids[1], ("ssd-mobilenet-v1-variant-1-out-boxes".to_owned(), DimsOrder::RowMajor));
        assert_eq!(info.input_id(&ssd()), Ok(Some("image_tensor_0")));
        assert_eq!(info.normalization(&ssd()), Ok(Some(Normalization::NONE)));
    }

    #[test]
    fn a_tensor_of_another_name_is_found_by_its_place_or_its_dimensions() {
        let info = GstModelInfo::parse(SSD).unwrap();
        let mut model = ssd();
        for output in &mut model.outputs {
            output.name = format!("renamed {}", output.name);
        }
        // In this order the places don't fit, but the dimensions do.
        assert_eq!(info.outputs(&model).unwrap()[0].0, "generic-variant-1-out-count");
        model.outputs.reverse();
        assert_eq!(info.outputs(&model).unwrap()[0].0, "ssd-mobilenet-v1-variant-1-out-boxes");
        // An engine's floats may be of another size.
        model.outputs[0].element = ElementType::F16;
        assert!(info.outputs(&model).is_ok());

        model.outputs[0].shape = vec![1, 100, 5];
        let error = info.outputs(&model).unwrap_err();
        assert_eq!(
            error,
            "no section fits the model's output renamed detection_boxes:0, type float16, dims [1, 100, 5] (-1: any)"
        );
        model.outputs[0] = tensor("detection_boxes:0", ElementType::I64, &[1, 100, 4]);
        assert!(info.outputs(&model).is_err());
        // A dynamic dimension fits only where any does.
        model.outputs[0] = tensor("detection_boxes:0", ElementType::F32, &[1, 100, -1]);
        assert!(info.outputs(&model).is_err());
    }

    fn normalization(ranges: &str) -> Result<Option<Normalization>, String> {
        let text = SSD.replace("ranges=0.0,255.0;0.0,255.0;0.0,255.0", ranges);
        GstModelInfo::parse(&text).and_then(|info| info.normalization(&ssd()))
    }

    #[test]
    fn ranges_are_a_normalisation() {
        assert_eq!(normalization(""), Ok(None));
        assert_eq!(normalization("ranges=0.0,1.0"), Ok(Some(Normalization::UNIT)));
        let Normalization { mean, scale } = normalization("ranges=-1,1;16,235;0,1;").unwrap().unwrap();
        let value = |channel: usize, pixel: f32| (pixel - mean[channel]) * scale[channel];
        for (channel, min, max) in [(0, -1.0, 1.0), (1, 16.0, 235.0), (2, 0.0, 1.0)] {
            assert!(
                (value(channel, 0.0) - min).abs() < 1e-4 && (value(channel, 255.0) - max).abs() < 1e-4,
                "{channel}"
            );
        }
        for (ranges, error) in [
            ("ranges=1,1", "without extent"),
            ("ranges=0,1;0,1", "has 2 ranges; 1 or 3 are possible"),
            ("ranges=0;1", "line 10: ranges=0;1: expected MIN,MAX"),
            ("ranges=0,inf", "expected MIN,MAX"),
        ] {
            let found = normalization(ranges).unwrap_err();
            assert!(found.contains(error), "{ranges}: {found}");
        }
    }

    #[test]
    fn bad_files_are_errors_that_name_the_line() {
        for (text, error) in [
            ("", "no section [modelinfo]"),
            ("[images]\nid=a", "no section [modelinfo]"),
            ("[modelinfo]\ngroup-id=a", "[modelinfo] has no version"),
            ("[modelinfo]\nversion=2.0", "line 2: version=2.0: versions 1.x are read"),
            ("[modelinfo]\nversion=1", "line 2: version=1: versions 1.x are read"),
            ("version=1.0", "line 1: expected [SECTION], or KEY=VALUE in a section"),
            ("# a comment\n[modelinfo]\nversion=1.0\nnonsense", "line 4: expected [SECTION]"),
            ("[modelinfo]\nversion=1.0\n[a]\nid=PLACEHOLDER_ID", "line 4: id=PLACEHOLDER_ID: replace the placeholder"),
            ("[modelinfo]\nversion=1.0\n[a]\nid=", "line 4: id=: a value is expected"),
            ("[modelinfo]\nversion=1.0\n[a]\ndir=both", "input and output are possible"),
            ("[modelinfo]\nversion=1.0\n[a]\ndims=1,x", "numbers separated by commas"),
            ("[modelinfo]\nversion=1.0\n[a]\ndims-order=diagonal", "row-major and col-major"),
        ] {
            let found = GstModelInfo::parse(text).unwrap_err();
            assert!(found.contains(error), "{text}: {found}");
        }
        // A newer minor version, and keys of other programs.
        GstModelInfo::parse("[modelinfo]\nversion = 1.7\nmore=1\n[a]\nother = 2\n").unwrap();
    }
}
