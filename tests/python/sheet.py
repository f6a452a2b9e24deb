"""Crops of tracked objects as one picture: a row for each track, from left to right as time passes.

usage: sheet.py CLIP TRACKS SHEET

TRACKS is a file of MOTChallenge: frame (from 1), id, left, top, width, height.
"""

import collections
import sys

import cv2
import numpy as np

HEIGHT, WIDTH, CROPS, MARGIN = 88, 44, 24, 58


def main():
    clip, path, sheet = sys.argv[1:]
    tracks = collections.defaultdict(dict)
    with open(path) as lines:
        for line in lines:
            frame, id, x, y, w, h = (float(value) for value in line.split(",")[:6])
            tracks[int(id)][int(frame)] = (x, y, w, h)
    wanted = collections.defaultdict(list)
    rows = {}
    for row, (id, boxes) in enumerate(sorted(tracks.items())):
        rows[id] = row
        frames = sorted(boxes)
        chosen = np.unique(np.linspace(0, len(frames) - 1, min(CROPS, len(frames))).astype(int))
        for column, index in enumerate(chosen):
            wanted[frames[index]].append((id, column))
    picture = np.zeros((HEIGHT * len(tracks), MARGIN + WIDTH * CROPS, 3), np.uint8)
    video, number = cv2.VideoCapture(clip), 0
    while True:
        more, frame = video.read()
        if not more:
            break
        number += 1
        for id, column in wanted[number]:
            x, y, w, h = (round(value) for value in tracks[id][number])
            crop = frame[max(y, 0) : y + h, max(x, 0) : x + w]
            if crop.size:
                top, left = HEIGHT * rows[id], MARGIN + WIDTH * column
                picture[top : top + HEIGHT - 4, left : left + WIDTH - 2] = cv2.resize(crop, (WIDTH - 2, HEIGHT - 4))
    for id, row in rows.items():
        frames = sorted(tracks[id])
        for line, text in enumerate([f"id {id}", f"{frames[0]}-", f"{frames[-1]}"]):
            place = (2, HEIGHT * row + 18 + 18 * line)
            cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    cv2.imwrite(sheet, picture)


if __name__ == "__main__":
    main()
