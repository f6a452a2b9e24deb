#!/usr/bin/env python3
"""Exports detectors in their published sizes with seeded weights, to measure how fast they run:

    export_full_size.py CLIP --out DIR [--only NAME]

RF-DETR-M and D-FINE-M are those of `transformers`, YOLOX-m that of `pixeltable-yolox` (both Apache-2.0), their sizes from the
families' own configurations, which each function names. With `ultralytics` installed (AGPL-3.0), also YOLO11m-seg and YOLO11m-obb.
Weights are random: batch norms fit the clip's frames, and scores are shifted so that objects come out of each. Such models show
speed, and what FP16 does to their ranges; they find nothing.
"""

import argparse
import math
import pathlib
import sys

import cv2
import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from export_models import Deployed, Logits, detr_layers, export, seed_weights, spread_detr, spread_scores

CLASSES = 80
FRAMES = 8
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
# Queries, or anchors, of a frame above the elements' default confidence.
OBJECTS, ANCHORS = 60, 200
# Queries of an empty picture that may show one class.
QUIET = 10


def quieten(model, pictures):
    """Shifts classes that random weights find all over an empty picture, which the head is checked with."""
    with torch.no_grad():
        for level in 0.0, 0.447, 1.0:
            empty = torch.full_like(pictures[0], level * (pictures[0].max() - pictures[0].min()) + pictures[0].min())
            for picture in empty, torch.zeros_like(empty):
                seen = model(picture).logits[0].sort(dim=0, descending=True).values[QUIET]
                for layer in detr_layers(model):
                    layer.bias.sub_((seen + 2).clamp(min=0))


def rf_detr_m(pictures):
    """RF-DETR-M: `RFDETRMediumConfig` of rfdetr 1.11."""
    from transformers import RfDetrConfig, RfDetrForObjectDetection

    backbone = dict(
        model_type="rf_detr_dinov2", hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=576, patch_size=16,
        num_windows=2, mlp_ratio=4, out_indices=[3, 6, 9, 12],
    )  # fmt: skip
    config = RfDetrConfig(
        backbone_config=backbone, d_model=256, decoder_ffn_dim=2048, decoder_layers=4, decoder_self_attention_heads=8,
        decoder_cross_attention_heads=16, decoder_n_points=2, num_queries=300, num_labels=91, group_detr=1,
    )  # fmt: skip
    model = RfDetrForObjectDetection(config).to(DEVICE)
    for module in model.modules():
        if hasattr(module, "interpolate_pos_encoding"):
            module.interpolate_pos_encoding = lambda *_, own=module: own.position_embeddings
    spread_detr(seed_weights(model, pictures, 4), pictures, OBJECTS)
    quieten(model, pictures)
    return Logits(model, True), ["input"], ["dets", "labels"], ()


def d_fine_m(pictures):
    """D-FINE-M: configs/dfine/dfine_hgnetv2_m_coco.yml (61d64bb)."""
    from transformers import DFineConfig, DFineForObjectDetection
    from transformers.models.hgnet_v2.configuration_hgnet_v2 import HGNetV2Config

    backbone = HGNetV2Config(
        stem_channels=[3, 24, 32], hidden_sizes=[96, 384, 768, 1536], depths=[1, 1, 3, 1], embedding_size=32,
        stage_in_channels=[32, 96, 384, 768], stage_mid_channels=[32, 64, 128, 256], stage_out_channels=[96, 384, 768, 1536],
        stage_num_blocks=[1, 1, 3, 1], stage_numb_of_layers=[4, 4, 4, 4], stage_downsample=[False, True, True, True],
        stage_light_block=[False, False, True, True], stage_kernel_size=[3, 3, 5, 5], use_learnable_affine_block=True,
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = DFineConfig(
        backbone_config=backbone, d_model=256, encoder_hidden_dim=256, encoder_in_channels=[384, 768, 1536], encoder_ffn_dim=1024,
        decoder_in_channels=[256] * 3, decoder_ffn_dim=1024, decoder_layers=4, num_queries=300, num_labels=CLASSES, depth_mult=0.67,
        hidden_expansion=1.0, freeze_backbone_batch_norms=False, anchor_image_size=[640, 640],
    )  # fmt: skip
    model = DFineForObjectDetection(config).to(DEVICE)
    spread_detr(seed_weights(model, pictures, 6), pictures, OBJECTS)
    quieten(model, pictures)
    sizes = torch.tensor([[640, 640]])
    return Deployed(model), ["images", "orig_target_sizes"], ["labels", "boxes", "scores"], (sizes,)


def yolox_m(pictures):
    """YOLOX-m: exps/default/yolox_m.py (0cba8ac)."""
    from yolox.models import YoloPafpn, YoloxHead, YoloxModule

    model = YoloxModule(YoloPafpn(0.67, 0.75), YoloxHead(CLASSES, 0.75)).to(DEVICE).eval()
    seed_weights(model, [p / 255 for p in pictures], 5)
    with torch.no_grad():
        # Its input is 0-255.
        next(m for m in model.modules() if isinstance(m, nn.Conv2d)).weight.div_(255)
    model.head.decode_in_inference = False

    def logits(first, last):
        return lambda x: torch.logit(model(x)[0][:, first:last].double().clamp(1e-12, 1 - 1e-12))

    spread_scores(list(model.head.obj_preds), logits(4, 5), pictures, spread=1.0, wanted=8 * ANCHORS)
    spread_scores(list(model.head.cls_preds), logits(5, None), pictures, wanted=8 * ANCHORS)
    with torch.no_grad():
        for layer in model.head.reg_preds:
            # Boxes of about two strides.
            layer.weight.mul_(0.05)
            layer.bias[:2].fill_(0.5)
            layer.bias[2:].fill_(0.7)
    return model, ["images"], ["output"], ()


# name: (what makes it, the side of its input, whether its input is standardised)
MODELS = {"rf-detr-m": (rf_detr_m, 576, True), "d-fine-m": (d_fine_m, 640, False), "yolox-m": (yolox_m, 640, None)}
ULTRALYTICS = "yolo11m-seg", "yolo11m-obb"


def tensor(frames, size, standardised):
    """Frames as [1, 3, size, size]: 0-255 in BGR order for `None`, else 0-1 in RGB order, standardised if it says so."""
    for frame in frames:
        picture = cv2.resize(frame, (size, size)).astype(np.float32)
        if standardised is not None:
            picture = picture[:, :, ::-1] / 255
        if standardised:
            picture = (picture - MEAN) / STD
        yield torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32))[None].to(DEVICE)


def ultralytics(name, frames, out):
    from ultralytics import YOLO

    torch.manual_seed(0)
    whole = YOLO(f"{name}.yaml")
    model = whole.model.to(DEVICE).float()
    pictures = list(tensor(frames, 640, False))
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    with torch.no_grad():
        model(torch.cat(pictures))
    model.eval()
    layers, found = [branch[-1] for branch in model.model[-1].cv3], []
    hooks = [layer.register_forward_hook(lambda _m, _i, result: found.append(result.flatten(2))) for layer in layers]
    with torch.no_grad():
        model(torch.cat(pictures))
    for hook in hooks:
        hook.remove()
    best = torch.cat(found[: len(layers)], 2).amax(1)
    cut = best.sort(dim=1, descending=True).values[:, ANCHORS].mean()
    for layer in layers:
        layer.bias.data += math.log(0.25 / 0.75) - cut
    file = whole.export(format="onnx", dynamic=True, imgsz=640, opset=17, simplify=False)
    pathlib.Path(file).replace(out / f"{name}.onnx")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--only", choices=[*MODELS, *ULTRALYTICS])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    capture, frames = cv2.VideoCapture(arguments.clip), []
    while len(frames) < FRAMES:
        there, frame = capture.read()
        if not there:
            sys.exit(f"{arguments.clip}: fewer than {FRAMES} frames")
        frames.append(frame)
    for name in [arguments.only] if arguments.only else [*MODELS, *ULTRALYTICS]:
        if name in ULTRALYTICS:
            ultralytics(name, frames, arguments.out)
        else:
            make, size, standardised = MODELS[name]
            torch.manual_seed(1)
            model, inputs, outputs, more = make(list(tensor(frames, size, standardised)))
            example = torch.rand(1, 3, size, size), *more
            export(model.cpu(), example, arguments.out / f"{name}.onnx", inputs, outputs)
        print(f"{name}: {(arguments.out / f'{name}.onnx').stat().st_size / 1e6:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
