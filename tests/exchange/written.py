"""`small_movie` as other programs write it.

TrackMate and Mastodon are Java programs that do not run here: their files are laid out as their documentation and files
of theirs on the web show. The others are written by the libraries themselves.
"""

from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd

from tests.exchange.small_movie import LINKS, as_spots

PIXEL = 0.5
"""Micrometres: TrackMate's and Mastodon's positions are physical."""


def numbered() -> tuple[pd.DataFrame, list[tuple[int, int]]]:
    """Spots with ids from 100 on, in an order of their own, and links between ids."""
    spots = as_spots().sample(frac=1.0, random_state=0).reset_index(drop=True)
    spots["id"] = 100 + np.arange(len(spots))
    ids = {(row.frame, row.label): row.id for row in spots.itertuples()}
    return spots, sorted((ids[a, b], ids[c, d]) for a, b, c, d in LINKS)


def trackmate_xml(file: Path, *, unit: str = "micron", doctype: str = "") -> Path:
    """As TrackMate 7 saves it: a hidden spot and a track that was filtered out are in the file as well."""
    spots, links = numbered()
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        doctype,
        '<TrackMate version="7.11.1">',
        "  <Log>text</Log>",
    ]
    lines.append(f'  <Model spatialunits="{unit}" timeunits="sec">')
    lines.append(f'    <AllSpots nspots="{len(spots) + 3}">')
    for frame, its in spots.groupby("frame"):
        lines.append(f'      <SpotsInFrame frame="{frame}">')
        for row in its.itertuples():
            lines.append(
                f'        <Spot ID="{row.id}" name="ID{row.id}" QUALITY="1.0" POSITION_T="{frame * 2.0}" '
                f'FRAME="{frame}" RADIUS="2.5" VISIBILITY="1" POSITION_X="{row.x * PIXEL}" '
                f'POSITION_Y="{row.y * PIXEL}" POSITION_Z="0.0" />'
            )
        if frame < 2:
            lines.append(
                f'        <Spot ID="{frame}" FRAME="{frame}" VISIBILITY="1" POSITION_X="1" POSITION_Y="1" '
                'POSITION_Z="0" />'
            )
        if frame == 5:
            lines.append(
                '        <Spot ID="7" FRAME="5" VISIBILITY="0" POSITION_X="1" POSITION_Y="1" POSITION_Z="0" />'
            )
        lines.append("      </SpotsInFrame>")
    lines += [
        "    </AllSpots>",
        "    <AllTracks>",
        '      <Track name="Track_0" TRACK_ID="0" NUMBER_SPOTS="15">',
    ]
    lines += [f'        <Edge SPOT_SOURCE_ID="{a}" SPOT_TARGET_ID="{b}" LINK_COST="1.0" />' for a, b in links]
    lines += ["      </Track>", '      <Track name="Track_1" TRACK_ID="1" NUMBER_SPOTS="2">']
    lines += ['        <Edge SPOT_SOURCE_ID="0" SPOT_TARGET_ID="1" LINK_COST="1.0" />', "      </Track>"]
    lines += [
        "    </AllTracks>",
        "    <FilteredTracks>",
        '      <TrackID TRACK_ID="0" />',
        "    </FilteredTracks>",
    ]
    lines += ["  </Model>", "  <Settings>"]
    lines.append(
        '    <ImageData filename="m.tif" folder="/" width="64" height="48" nslices="1" nframes="6" '
        f'pixelwidth="{PIXEL}" pixelheight="{PIXEL}" voxeldepth="1.0" timeinterval="2.0" />'
    )
    lines += ["  </Settings>", "</TrackMate>", ""]
    file.write_text("\n".join(line for line in lines if line))
    return file


def trackmate_csv(folder: Path) -> list[Path]:
    """As TrackMate 7 exports spots and edges: names, long names, short names and units, then numbers."""
    spots, links = numbered()
    head = [
        "LABEL,ID,TRACK_ID,QUALITY,POSITION_X,POSITION_Y,POSITION_Z,POSITION_T,FRAME,RADIUS,VISIBILITY",
        "Label,Spot ID,Track ID,Quality,X,Y,Z,T,Frame,Radius,Visibility",
        "Label,Spot ID,Track ID,Quality,X,Y,Z,T,Frame,R,Visibility",
        ",,,(quality),(micron),(micron),(micron),(sec),,(micron),",
    ]
    rows = [
        f"ID{r.id},{r.id},0,1.0,{r.x * PIXEL},{r.y * PIXEL},0.0,{r.frame * 2.0},{r.frame},2.5,1"
        for r in spots.itertuples()
    ]
    edge_head = [
        "LABEL,TRACK_ID,SPOT_SOURCE_ID,SPOT_TARGET_ID,LINK_COST,EDGE_TIME",
        "Label,Track ID,Source spot ID,Target spot ID,Edge cost,Edge time",
        "Label,Track ID,Source ID,Target ID,Cost,Time",
        ",,,,(cost),(sec)",
    ]
    edges = [f"ID{a} → ID{b},0,{a},{b},1.0,1.0" for a, b in links]
    files = [folder / "spots.csv", folder / "edges.csv"]
    files[0].write_text("\n".join([*head, *rows, ""]))
    files[1].write_text("\n".join([*edge_head, *edges, ""]), encoding="utf-8")
    return files


def mastodon_csv(folder: Path) -> list[Path]:
    """As Mastodon exports its tables: names, components and units, then numbers."""
    spots, links = numbered()
    head = [
        "Label,ID,Spot N links,Spot frame,Spot position,Spot position,Spot position,Spot track ID",
        ",,,,X,Y,Z,",
        ",,,,(micrometer),(micrometer),(micrometer),",
    ]
    rows = [f"{r.id},{r.id},2,{r.frame},{r.x * PIXEL},{r.y * PIXEL},0.0,0" for r in spots.itertuples()]
    link_head = [
        "Label,ID,Link displacement,Link target IDs,Link target IDs",
        ",,,Source spot id,Target spot id",
    ]
    link_head.append(",,(micrometer),,")
    edges = [f"{a} - {b},{k},1.0,{a},{b}" for k, (a, b) in enumerate(links)]
    files = [folder / f"MastodonTable-{name}.csv" for name in ("Spot", "Link")]
    files[0].write_text("\n".join([*head, *rows, ""]))
    files[1].write_text("\n".join([*link_head, *edges, ""]))
    return files


def trackastra_graph() -> "nx.DiGraph[int]":
    """As trackastra's `track` returns it."""
    spots, links = numbered()
    graph: nx.DiGraph[int] = nx.DiGraph()
    for row in spots.itertuples():
        graph.add_node(
            int(row.id), time=int(row.frame), label=int(row.label), coords=(row.y, row.x), weight=1
        )
    graph.add_edges_from((int(a), int(b), {"weight": 0.9}) for a, b in links)
    return graph


def ultrack_table() -> pd.DataFrame:
    """As ultrack's `to_tracks_layer` lays it out, with parents."""
    spots = as_spots()
    parent = spots["label"].map({1: -1, 2: -1, 3: 2, 4: 2})
    return pd.DataFrame(
        {
            "track_id": spots["label"],
            "t": spots["frame"],
            "y": spots["y"],
            "x": spots["x"],
            "id": np.arange(1, len(spots) + 1),
            "parent_track_id": parent,
            "parent_id": -1,
        }
    )
