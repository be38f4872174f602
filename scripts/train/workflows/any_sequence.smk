# Label maps -> the default model, by the trainings that its versions came from, each on from the one before -> its figures.
#
#   snakemake -s scripts/train/workflows/any_sequence.smk --cores 1
#   ... --configfile scripts/train/workflows/any_sequence_l.yaml        the larger model
#
# Begun anew it is a new training, not the shipped weights: some versions were changed while they ran (the model cards
# tell). What was stopped goes on where it was; after a kill, unlock first (snakemake --unlock) and add --rerun-incomplete.
configfile: Path(workflow.basedir) / "any_sequence.yaml"
include: "common.smk"

OUTPUT = Path(config["output"])
STAGES = list(config["stages"])
FINAL = OUTPUT / "model"


def start_of(stage):
    """The package of the stage before; none before the first."""
    place = STAGES.index(stage)
    return OUTPUT / STAGES[place - 1] / "model" if place else None


def start_folder(wildcards):
    start = start_of(wildcards.stage)
    return [start] if start else []


def train_command(wildcards):
    start = start_of(wildcards.stage)
    run = ("--run-folder", OUTPUT / wildcards.stage / "run")
    return call("any_sequence", wildcards.stage, *run, *(("--start", start) if start else ()), *config["train_flags"])


def export_command(run, package, *flags):
    """Of the newest checkpoint of a run."""
    words = [sys.executable, SCRIPTS / "export_any_sequence.py", "--run", run, "--output", package, *flags]
    return " ".join(f"'{word}'" for word in words)


wildcard_constraints:
    stage="|".join(STAGES),


rule all:
    input:
        FINAL,
        *([OUTPUT / "evaluation" / "metrics.json"] if config["test"] else []),


rule train:
    input:
        start_folder,
    output:
        touch(OUTPUT / "{stage}" / "trained"),
    params:
        command=train_command,
    shell:
        "{params.command}"


rule export:
    input:
        OUTPUT / "{stage}" / "trained",
    output:
        directory(OUTPUT / "{stage}" / "model"),
    params:
        command=lambda wildcards, input, output: export_command(Path(input[0]).parent / "run", output[0]),
    shell:
        "{params.command}"


# Once more, as it is shipped: under its name, with its offset and its figures' tiles.
rule ship:
    input:
        OUTPUT / STAGES[-1] / "trained",
    output:
        directory(FINAL),
    params:
        command=lambda wildcards, input, output: export_command(
            Path(input[0]).parent / "run", output[0],
            "--name", config["name"], "--version", config["version"], *config["export_flags"],
        ),
    shell:
        "{params.command}"


rule evaluate:
    input:
        FINAL,
    output:
        OUTPUT / "evaluation" / "metrics.json",
    params:
        command=lambda wildcards, input, output: " ".join(
            f"'{word}'"
            for word in (
                sys.executable, SCRIPTS / "evaluate_any_sequence.py", "--model", input[0],
                "--data", config["test"], "--output", Path(output[0]).parent,
            )
        ),
    shell:
        "{params.command}"
