#!/usr/bin/env python3
"""Exports narrow detectors of families other than YOLO, for the tests: `cargo xtask export-models`.

    export_models.py --media DIR... --out DIR [--only NAME]

The architectures are those of `transformers` (Apache-2.0) and `pixeltable-yolox` (Apache-2.0), pinned in
export-requirements.txt, with few channels. Names, shapes, types and postprocessing of the tensors are those of the families'
own export scripts, which each function names. Weights are seeded; the scores are scaled and shifted so that some objects
come out of the pictures of reference.py. Exports of other licences aren't kept: ../models/make.py has their forms.
"""

import pathlib
import sys

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import families
import reference

# Opset of the families' own exporters.
OPSET = 17
CLASSES = 80
# Objects per picture above a confidence of one half, and the spread of a class's logits.
WANTED, SPREAD = 8, 2.0


def seed_weights(model, pictures, seed):
    """Weights with which a signal keeps its size from layer to layer, and batch norms fitted to the pictures."""
    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for _ in range(2):
            for picture in pictures:
                model(picture)
    return model.eval()


def spread_scores(layers, logits, pictures, spread=SPREAD, wanted=WANTED):
    """Scales and shifts the last layers of the scores: each class has the same mean and spread over the pictures, and
    about `wanted` scores of a picture are above one half. `logits(picture)` is [candidates, classes]."""
    with torch.no_grad():
        # Twice, because the candidates of some families depend on the scores.
        for _ in range(2):
            values = torch.cat([logits(p) for p in pictures]).double()
            mean, gain = values.mean(0), spread / values.std(0).clamp(min=1e-6)
            values = torch.stack([((logits(p) - mean) * gain).flatten() for p in pictures])
            cut = values.sort(dim=1, descending=True).values[:, wanted].mean()
            for layer in layers:
                layer.weight.mul_(gain.view(-1, *[1] * (layer.weight.dim() - 1)))
                layer.bias.copy_((layer.bias - mean) * gain - cut)


def detr_layers(model):
    heads = getattr(model, "class_embed", None) or model.model.decoder.class_embed
    return list(dict.fromkeys(heads)) if isinstance(heads, nn.ModuleList) else [heads]


def spread_detr(model, pictures, wanted=WANTED):
    spread_scores(detr_layers(model), lambda x: model(x).logits[0], pictures, wanted=wanted)


def rt_detr_config(**more):
    from transformers import RTDetrResNetConfig

    backbone = RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 1, 1], out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    return dict(
        backbone_config=backbone, d_model=32, encoder_hidden_dim=32, encoder_in_channels=[24, 32, 48], encoder_ffn_dim=48,
        encoder_attention_heads=4, decoder_in_channels=[32] * 3, decoder_ffn_dim=48, decoder_attention_heads=4,
        decoder_layers=2, num_queries=60, num_labels=CLASSES, hidden_expansion=0.5, freeze_backbone_batch_norms=False, **more,
    )  # fmt: skip


class Deployed(nn.Module):
    """`RTDETRPostProcessor.deploy()` of RT-DETR (rtdetrv2_pytorch, 08b7ea7), which D-FINE, DEIM and DEIMv2 share."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images, orig_target_sizes):
        out = self.model(images)
        cx, cy, w, h = out.pred_boxes.unbind(-1)
        boxes = torch.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], dim=-1)
        boxes = boxes * orig_target_sizes.repeat(1, 2).unsqueeze(1)
        scores, index = torch.topk(out.logits.sigmoid().flatten(1), out.logits.shape[1], dim=-1)
        labels = index - index // CLASSES * CLASSES
        boxes = boxes.gather(1, (index // CLASSES).unsqueeze(-1).repeat(1, 1, 4))
        return labels, boxes, scores


def split_export(model, path, size):
    height, width = size
    example = (torch.rand(1, 3, height, width), torch.tensor([[width, height]]))
    names = ["images", "orig_target_sizes"], ["labels", "boxes", "scores"]
    export(Deployed(model), example, path, *names)


class Logits(nn.Module):
    def __init__(self, model, boxes_first):
        super().__init__()
        self.model, self.boxes_first = model, boxes_first

    def forward(self, images):
        out = self.model(images)
        return (out.pred_boxes, out.logits) if self.boxes_first else (out.logits, out.pred_boxes)


def export(model, example, path, inputs, outputs, dynamic=True):
    axes = {name: {0: "N"} for name in [*inputs, *outputs]} if dynamic else None
    torch.onnx.export(
        model.eval(), example, str(path), input_names=inputs, output_names=outputs, dynamic_axes=axes, opset_version=OPSET,
        dynamo=False,
    )  # fmt: skip


def rt_detr(path, pictures):
    """RT-DETRv2, by tools/export_onnx.py (08b7ea7)."""
    from transformers import RTDetrV2Config, RTDetrV2ForObjectDetection

    model = RTDetrV2ForObjectDetection(RTDetrV2Config(**rt_detr_config(anchor_image_size=[320, 320])))
    spread_detr(seed_weights(model, pictures, 2), pictures)
    split_export(model, path, (320, 320))


def d_fine(path, pictures):
    """D-FINE, by tools/deployment/export_onnx.py (61d64bb); with another input also the form of DEIM and DEIMv2."""
    from transformers import DFineConfig, DFineForObjectDetection
    from transformers.models.hgnet_v2.configuration_hgnet_v2 import HGNetV2Config

    backbone = HGNetV2Config(
        hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 1, 1],
        stem_channels=[3, 8, 8], stage_in_channels=[8, 16, 24, 32], stage_mid_channels=[8, 8, 8, 8],
        stage_out_channels=[16, 24, 32, 48], stage_num_blocks=[1, 1, 1, 1], stage_numb_of_layers=[2, 2, 2, 2],
        stage_downsample=[False, True, True, True], stage_light_block=[False, False, True, True],
        stage_kernel_size=[3, 3, 5, 5], out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = rt_detr_config(anchor_image_size=[256, 320])
    config["backbone_config"] = backbone
    config.pop("hidden_expansion")
    model = DFineForObjectDetection(DFineConfig(**config, hidden_expansion=0.5, depth_mult=0.34))
    spread_detr(seed_weights(model, pictures, 6), pictures)
    split_export(model, path, (256, 320))


def detr_sigmoid(path, pictures):
    """RT-DETR, as Hugging Face's Optimum names its tensors."""
    from transformers import RTDetrConfig, RTDetrForObjectDetection

    model = RTDetrForObjectDetection(RTDetrConfig(**rt_detr_config(anchor_image_size=[320, 320])))
    # With this seed an empty picture, by which the head is checked, has few objects.
    spread_detr(seed_weights(model, pictures, 11), pictures)
    export(Logits(model, False), (torch.rand(1, 3, 320, 320),), path, ["pixel_values"], ["logits", "pred_boxes"])


def detr_softmax(path, pictures):
    """DETR, as Hugging Face's Optimum names its tensors."""
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    backbone = ResNetConfig(
        embedding_size=8, hidden_sizes=[16, 24, 32, 48], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage4"]
    )
    config = DetrConfig(
        backbone_config=backbone, d_model=32, encoder_layers=1, decoder_layers=2, encoder_ffn_dim=48, decoder_ffn_dim=48,
        encoder_attention_heads=4, decoder_attention_heads=4, num_queries=40, num_labels=CLASSES,
    )  # fmt: skip
    model = seed_weights(DetrForObjectDetection(config), pictures, 7)
    head = model.class_labels_classifier
    with torch.no_grad():
        # Only by its position does a query look elsewhere than the others.
        model.model.query_position_embeddings.weight.mul_(8.0)
    spread_scores([head], lambda x: model(x).logits[0], pictures, spread=6.0)
    with torch.no_grad():
        # Half of the queries are objects; the last logit is that of no object.
        logits = torch.cat([model(p).logits[0] for p in pictures])
        margin = logits[:, :-1].max(-1).values - logits[:, -1]
        head.bias[-1] += margin.quantile(0.5).item()
    export(Logits(model, False), (torch.rand(1, 3, 256, 320),), path, ["pixel_values"], ["logits", "pred_boxes"])


def rf_detr(path, pictures):
    """RF-DETR, by rfdetr 1.11 (export/prepare.py): three classes and a column for no object."""
    from transformers import RfDetrConfig, RfDetrForObjectDetection

    backbone = dict(
        model_type="rf_detr_dinov2", hidden_size=48, num_hidden_layers=4, num_attention_heads=4, image_size=320, patch_size=16,
        num_windows=2, mlp_ratio=2, out_indices=[2, 4],
    )  # fmt: skip
    config = RfDetrConfig(
        backbone_config=backbone, d_model=32, decoder_ffn_dim=48, decoder_layers=2, decoder_self_attention_heads=4,
        decoder_cross_attention_heads=4, num_queries=60, num_labels=4, group_detr=1, c2f_num_blocks=1,
    )  # fmt: skip
    model = RfDetrForObjectDetection(config)
    # rfdetr resizes the position embeddings before it exports; here they have the input's size from the start.
    for module in model.modules():
        if hasattr(module, "interpolate_pos_encoding"):
            module.interpolate_pos_encoding = lambda *_, own=module: own.position_embeddings
    spread_detr(seed_weights(model, pictures, 4), pictures)
    export(Logits(model, True), (torch.rand(1, 3, 320, 320),), path, ["input"], ["dets", "labels"])


def yolox(path, pictures):
    """YOLOX, by tools/export_onnx.py (0cba8ac), whose default leaves boxes undecoded."""
    from yolox.models import YoloPafpn, YoloxHead, YoloxModule

    model = YoloxModule(YoloPafpn(0.33, 0.125, depthwise=True), YoloxHead(CLASSES, 0.125, depthwise=True)).eval()
    seed_weights(model, [p / 255 for p in pictures], 5)
    # Its input is 0-255.
    with torch.no_grad():
        first = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
        first.weight.div_(255)
    model.head.decode_in_inference = False

    def logits(first, last):
        return lambda x: torch.logit(model(x)[0][:, first:last].double().clamp(1e-12, 1 - 1e-12))

    spread_scores(list(model.head.obj_preds), logits(4, 5), pictures, spread=1.0, wanted=400)
    spread_scores(list(model.head.cls_preds), logits(5, None), pictures, wanted=40)
    with torch.no_grad():
        for layer in model.head.reg_preds:
            # Boxes of about two strides.
            layer.weight.mul_(0.05)
            layer.bias[:2].fill_(0.5)
            layer.bias[2:].fill_(0.7)
    export(model, (torch.rand(1, 3, 320, 320),), path, ["images"], ["output"], dynamic=False)


# name: (its exporter, height and width of its input)
MODELS = {
    "rt-detr": (rt_detr, (320, 320)),
    "d-fine": (d_fine, (256, 320)),
    "rf-detr": (rf_detr, (320, 320)),
    "detr-sigmoid": (detr_sigmoid, (320, 320)),
    "detr-softmax": (detr_softmax, (256, 320)),
    "yolox": (yolox, (320, 320)),
}


def main():
    images, files = reference.exporter(__doc__, MODELS)
    for name, file in files.items():
        make, size = MODELS[name]
        inputs = [torch.from_numpy(families.FAMILIES[name].tensor(image, size)[0])[None] for image in images]
        torch.manual_seed(1)
        make(file, inputs)
        print(name, file.stat().st_size)


if __name__ == "__main__":
    main()
