"""A segmenter of a few hundred weights with what SAM has not: batch normalisation and dropout."""

import numpy as np
import torch
from torch import nn

from medstress.models.segmentation.protocol import Parts
from medstress.models.segmentation.sam_loss import mask_loss


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 8, 5, padding=2), nn.BatchNorm2d(8), nn.ReLU())
        self.decoder = nn.Sequential(
            nn.Conv2d(9, 8, 5, padding=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.Conv2d(8, 1, 1)
        )


class NetSegmenter:
    """Sees grey images of one size; the box goes in as a channel."""

    parts = Parts(encoder=r"encoder\.", blocks=r"encoder\.(\d+)\.", decoder=r"decoder\.")

    def __init__(self):
        torch.manual_seed(0)
        self.model = Net().eval()

    def encode(self, images):
        return self.model.encoder(torch.from_numpy(np.stack(images)).float()[:, None] / 255)

    def decode(self, embeddings, boxes):
        drawn = torch.zeros(len(boxes), 1, *embeddings.shape[2:])
        for plane, (x0, y0, x1, y1) in zip(drawn, boxes, strict=True):
            plane[0, int(y0) : int(y1), int(x0) : int(x1)] = 1
        return self.model.decoder(torch.cat([embeddings, drawn], dim=1))[:, 0]

    def loss(self, images, boxes, masks, embeddings=None):
        known = self.encode(images) if embeddings is None else embeddings
        owners = [index for index, group in enumerate(boxes) for _ in group]
        asked = [box for group in boxes for box in group]
        truth = torch.from_numpy(np.stack([mask for group in masks for mask in group])).float()
        return mask_loss(self.decode(known[owners], asked), truth, torch.tensor(asked))

    def predict(self, images, boxes):
        assert not self.model.training
        with torch.inference_mode():
            return [
                [
                    (logits > 0).numpy()
                    for logits in self.decode(self.encode([image]).expand(len(group), -1, -1, -1), group)
                ]
                for image, group in zip(images, boxes, strict=True)
            ]
