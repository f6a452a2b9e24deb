//! From a picture to a model's input tensor.
