"use strict";
// What each reason of the queue asks a person to look for.
const LOOK_FOR = {
  "missed before": "its mother is more than one frame back. Was it missed in between, or is this another cell?",
  "false": "it has neither mother nor daughter. Is it a cell at all?",
  "merged": "by size and place it may be two cells in one outline. Who is the mother of most of it?",
  "split": "by size and place it may be a part of a cell. Strike out the smaller part (B), or accept.",
  "appeared inside": "it begins far from the border of the field. Was its mother missed?",
  "ended inside": "its track ends here, far from the border of the field. If it goes on, open a later frame in the " +
    "strip and press the cell that it becomes; else accept.",
  "two mothers alike": "another mother is nearly as likely as the one that was chosen, or likelier.",
  "followed from yours": "your decisions about other cells gave it another mother. Is that right?",
  "mother or none": "it is not clear whether it has a mother.",
};

export const inWords = (reason) => (!reason ? ""
  : `Doubtful because: ${reason}` + (LOOK_FOR[reason] ? `: ${LOOK_FOR[reason]}` : "."));
