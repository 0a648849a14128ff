"""The model card of an artifact, written from what was measured."""

from typing import Any

from model.artifact import Artifact
from training.evaluate import HEADLINE

_TEMPLATE = """\
# Model card: Linsheng opinion classifier {version}

Reads an opinion of a resident (Chinese) and scores {k} categories of taxonomy version {taxonomy}.

- **Encoder**: {backbone}: {source}.
  Vocabulary reduced to Han characters, ASCII and punctuation, then fine-tuned; weights stored as
  int8 in ONNX, arithmetic in float32. License of this model: Apache-2.0.
- **Training data**: {train} synthetic opinions written for this project (data/README.md);
  no message of a real person was trained on. Data SHA-256 {data}.
- **Votes of n-grams**: a linear SVM over hashed characters and character pairs, trained on the same
  opinions, is added to the encoder's logits with weight {votes:.1f} (chosen on validation).
- **Reading**: up to {tokens} tokens; of a longer text the first three quarters and the last quarter
  of that room are read, and the answer says `truncated`.
- **Scores** are softmax probabilities at temperature {temperature:.3f}: the probability of being
  the primary category. A further category is named from {label:.2f} on.
- **Decisions**: `auto` from a score of {auto} on; on the calibration split {auto_n} of {cal}
  opinions pass, {auto_wrong} of them wrong, so the error rate there is at most {auto_upper:.3f}
  with {confidence:.0%} confidence (Clopper-Pearson, fixed-sequence testing; target {target:.0%}).
  Wrong is any category but the primary one, or one that a second reader took with equal reason.
  No round of the corpus shows more than the target above the threshold either.
  `out_of_scope` from {oos} on: at most 1 % of resident matters are put aside, same confidence.
- **Urgency**: a linear head on the embedding, trained beside the categories, with the phrases of
  data/urgent.yaml: urgent from {danger_phrase:.3f} on where a phrase stands in the text, else from
  {danger:.3f} on ({danger_rows} urgent opinions of validation and calibration: recall
  {danger_recall:.3f}, precision {danger_precision:.3f}; test split: recall {urgent_recall},
  precision {urgent_precision} of {urgent_rows}).

## Measured on the frozen test split ({n} opinions)

| measure | model | {names} |
|---|---|{rule}
{rows}

One of the top three {top3}; right lead department {routing}; expected calibration error {ece};
`auto` for {coverage} of the opinions of which {primary_error} are not the primary
category and {error} none of the opinion's categories.
int8 against float32: same primary label on {same} of the test texts, largest difference of a
probability {gap}.

## Recipe

{recipe}

## What was compared

{compared}
## Limits

- The guarantee of `auto` holds for opinions like the calibration split. Real messages are longer
  and of another mix: measure on your own (python -m training evaluate) before you rely on it.
- The corpus is synthetic and nearly uniform over the categories; rare phrasing, dialect and
  traditional characters are thinly covered.
- Urgent opinions are rare: a city that has its own should measure recall on them first.
"""


def fill(
    artifact: Artifact,
    metrics: dict[str, Any],
    recipe: dict[str, Any],
    source: str,
    compared: str,
) -> str:
    """The card as Markdown.

    Args:
        artifact: the artifact described.
        metrics: what `export` measured: test, baselines, parity, calibration, rows.
        recipe: the resolved training configuration.
        source: where the encoder comes from and under which licence.
        compared: what was tried, with figures, as Markdown.
    """
    test, evidence, calibration = metrics["test"], metrics["calibration"], artifact.calibration
    baselines = test["baselines"]
    never = "never"
    return _TEMPLATE.format(
        version=artifact.version,
        k=len(artifact.codes),
        taxonomy=artifact.taxonomy_version,
        backbone=recipe["model"]["backbone"],
        source=source,
        train=metrics["rows"]["train"],
        data=metrics["data_sha256"][:12],
        compared=compared,
        votes=metrics["ngram_weight"],
        tokens=artifact.max_tokens,
        temperature=calibration.temperature,
        label=calibration.label_threshold,
        auto=never if calibration.auto_threshold > 1 else f"{calibration.auto_threshold:.3f}",
        auto_n=evidence["auto"]["chosen"],
        auto_wrong=evidence["auto"]["wrong"],
        auto_upper=evidence["auto"]["upper_bound"],
        cal=evidence["rows"],
        confidence=calibration.confidence,
        target=calibration.target_error,
        oos=never
        if calibration.out_of_scope_threshold > 1
        else f"{calibration.out_of_scope_threshold:.3f}",
        danger=calibration.urgent_threshold,
        danger_phrase=calibration.urgent_threshold_phrase,
        danger_rows=evidence["urgent"]["rows"],
        danger_recall=evidence["urgent"]["recall"],
        danger_precision=evidence["urgent"]["precision"],
        urgent_recall=test["urgent"]["recall"],
        urgent_precision=test["urgent"]["precision"],
        urgent_rows=test["urgent"]["rows"],
        n=test["n"],
        names=" | ".join(baselines),
        rule="---|" * len(baselines),
        rows="\n".join(
            f"| {key} | {test[key]} | {' | '.join(str(b[key]) for b in baselines.values())} |"
            for key in HEADLINE
        ),
        top3=test["top3_accuracy"],
        routing=test["routing_accuracy"],
        ece=test["calibration"]["ece"],
        coverage=test["decisions"]["auto_coverage"],
        error=test["decisions"]["auto_error"],
        primary_error=test["decisions"]["auto_primary_error"],
        same=metrics["parity"]["same_primary"],
        gap=metrics["parity"]["max_probability_difference"],
        recipe="\n".join(
            f"- {section}: " + ", ".join(f"{k} {v}" for k, v in values.items())
            for section, values in recipe.items()
            if isinstance(values, dict)
        ),
    )
