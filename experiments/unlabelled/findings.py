"""What was found, in words, by question; "" for all of them."""

FINDINGS = {
    "": """
Can a prior's mean be improved for one movie without labels? Everything is measured under the prior that other kinds of
movies teach (`experiments/prior`), with links over up to two frames and the method `auto`. Rate: share of missed
cells; a fifth of it each of merged, split and made-up ones. `change`: of the NLL against the first row, with its
standard error over movies; `worse` and `better`: movies on which it rose or fell by more than noise over frames
(`study/noise.py`, one-sided 2.5 %, each movie by itself: one in forty is so by chance). **Nothing of it
is in the package: most ways make some movies worse by more than noise, and what does not gains on one kind of movie.**
Written by `python -m experiments.unlabelled`; all rows are in `unlabelled_and_drift.csv`.
""",
    "drift": """
Movies with all frames, cut into stretches of as many frames, each a movie of its own (its first frame is not judged);
stretches of movies of more than 4000 cells are cut short around their middles, so that the beginning and the end are
there. *One look*: the prior's mean at the look of all stretches together; *own looks*: at the look of each; *half way*:
the mean of the two. *Common scale*: link scores with the geometric mean of the stretches' typical displacements; *own
scale*: with each stretch's own. Own looks take .006 and .004 nats on average in three and five stretches with a
common scale, most of it on one movie at stride 4 (celegans, which moves more and more), and make a few easy movies
worse. Once the scale follows the movie, own looks are worth about .001 more. The temperature of a stretch mostly makes
up for a scale that is not its own.
""",
    "whole": """
So should the distance tracker's displacements follow the movie? Whole movies (up to 6000 cells around their middles)
of at least 2000 cells, the tracker as it is (one estimate from all cells) against estimates in stretches of so many
cells, interpolated over frames; one look each. The tracker's own single estimate is better than the mean of stretches'
estimates above, and less is left. With 1000 cells a stretch, celegans and cell-migration gain, but three movies are
worse by more than noise, and mouse-epidermis with errors is by .04 within it: estimates from few cells are noisy.
With 2000 cells a stretch the mean falls by .005 (standard error .003) and no movie is worse by more than noise (worst
+.004, HeLa at stride 2), but nearly all of it is the two celegans embryos at stride 4 with errors (.45 -> .39, .53 ->
.45), two of 33 movies, and 2000 was picked on these very movies. Not built; the one thing here worth trying on other
long movies (`local_candidates` scores so). The run was stopped where the largest movies at every frame begin. An
earlier one with up to 10,000 cells and no noise reckoned agreed, with 500 cells a stretch worse still on easy movies
(cglutamicum, stride 2, .018 -> .025; HeLa, stride 2, .035 -> .042).
""",
    "fits": """
100 random daughters of the first half, `fit_events` with the prior at the look of both halves together (*one look*) or
of the first half; then applied to the second half as it is, or moved by what the looks of the two halves make of the
prior's mean. Halves of up to 750 cells, displacements as of both; one draw. Moving changes nothing on average (+.0006,
standard error .002; half way -.0007) and makes three or four of 15 movies worse by more than noise (cglutamicum,
stride 1, +.007; HeLa, stride 4, +.010). Not built. (Half of the movies: the run was stopped after 15 of 26.)
""",
    "floor": """
p' = (1 - share) p + share q, with q the parental softmax of the tempered scores at two or four times the temperature,
or uniform over a daughter's candidates and none. *Chosen elsewhere*: what is best on the same tracker's other kinds of
movies. Means over all strides. With 2 T, a floor takes up to .005 nats off the mean for the overlap tracker and .002
for the distance tracker and the Transformer, nearly all of it on movies of which the tracker gets less than three in
four daughters right; every easy movie pays its share, beyond noise on 37 to 56 % of the movies. The least harmful (q at
2 T, share .003) takes .001 off the mean and costs at most .0016. The ECE does not improve. Chosen elsewhere, a floor
is worse than none for the activity tracker (+.001) and the Transformer (+.006). Not built.
""",
    "evidence": """
The distance tracker's scores as densities (`experiments/unlabelled/evidence.py`): log Z, less what normalises it, is
the likelihood of the cells, and expectation maximisation with the prior's Gaussian as penalty makes it large. A
posterior tells only appear + disappear and disappear + divide apart, rates tell all three, so how the sums are shared
out has no prior here; with one, what the prior says of it by accident drags the sums along (first version: mean change
+.006 with T and divide held). Evidence rose in every round on all 44 movies. With T free, the NLL rises too: T falls to
.8 on average, since displacements have a narrower core and a heavier tail than any power of the tracker's density; what
jumps farther is explained as having appeared (appear + disappear rises by 8 nats), and divisions die out (disappear +
divide falls by 4): mean NLL .200 -> .378, cglutamicum at stride 1 .028 -> .655. With T and division held, and the
evidence worth 100 daughters, the mean stays (.1998 -> .1993; accuracy .9391 -> .9403, ECE .0238 -> .0218): better
on hard movies (mouse-epidermis, stride 4, 1.43 -> 1.34; cell-migration .230 -> .216), worse on 13 of 44 by more than
noise, 8 of them with errors in their masks (GOWT1, stride 4, .120 -> .164). Probably since pieces of cells lie beside
others, not anywhere in the field (not tested). With T alone held, cell-migration at stride 4 goes from .230 to .150, as
plain expectation maximisation had it without a prior, and mouse-epidermis from 1.43 to 1.30, but 12 others become
worse, and the mean (+.012). Hence no `fit --unlabelled`. The first look, expected counts at fixed scores whose weights
other movies teach, is what is left of the evidence once its bias is learned.
""",
    "looks": """
The same idea the other way round: what the evidence makes of coming and going, of misses and of ends (four rounds from
the same numbers for every movie, T and division held), or how far apart cells are in displacements, as further columns
of the first look, whose weights other movies teach. Strides 1 and 4, for the prior too. The evidence takes .004
nats off the mean (standard error .004), at stride 1 .0015 without errors, but most of it is mouse-epidermis at
stride 4, and six of 44 movies are worse by more than noise (cglutamicum-06min, stride 4, errors, +.040; cell-migration,
stride 4, +.026). Crowding makes things worse. Ten kinds of movies are too few for more columns. Not built.
""",
}
