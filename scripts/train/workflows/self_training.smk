# A cohort without labels -> its labels by the model itself, where it is sure -> training on them and on synthetic images
# -> a package adapted to the cohort, after any number of rounds.
#
#   python scripts/import_dataset.py folder COHORT -o cohort.json
#   snakemake -s scripts/train/workflows/self_training.smk --cores 1 --config datalist=cohort.json
#
# What was stopped is resumed; after a kill, unlock first (snakemake --unlock) and add --rerun-incomplete.
configfile: Path(workflow.basedir) / "self_training.yaml"
include: "common.smk"

OUTPUT = Path(config["output"])
ROUNDS = int(config["rounds"])
LAST = OUTPUT / f"round_{ROUNDS}" / "model" / "model.json"


def teacher(number):
    """The model that labels in round `number`."""
    return config["model"] if number == 1 else OUTPUT / f"round_{number - 1}" / "model"


def teacher_file(wildcards):
    number = int(wildcards.round)
    return [] if number == 1 else [teacher(number) / "model.json"]


def label_command(number, datalist, output, *more):
    """How the cohort is labelled in round `number`."""
    return call(
        "pseudo_label", "pseudo_label",
        "--models", teacher(number),
        "--datalists", datalist,
        "--gammas", *config["gammas"],
        "--certainty", config["certainty"],
        "--keep", config["keep"],
        "--output", output,
        *config["label_flags"],
        *more,
    )


rule all:
    input:
        LAST,
        *([OUTPUT / "evaluation" / "summary.csv"] if config["test"] else []),


# It comes first: volumes and inferences, steps, disk, memory and hours of a round; an error if memory or disk will not do.
rule preview:
    input:
        config["datalist"],
    output:
        PREVIEW,
    params:
        command=lambda wildcards, input: previewed(
            (
                "labels of the cohort:" if ROUNDS == 1 else f"labels of the cohort, {ROUNDS} times:",
                label_command(1, input[0], OUTPUT, "--preview"),
            ),
            (
                "1 training:" if ROUNDS == 1 else f"{ROUNDS} trainings, each:",
                training(
                    "finetune", "self_training",
                    "--run-folder", OUTPUT / "preview" / "training",
                    "--data.datalists", OUTPUT / "preview" / "datalist.json",  # of the few that were just labelled
                    "--data.cache", OUTPUT / "cache",
                    "--start", config["model"],
                    *config["train_flags"],
                    "--loop.preview",
                    "--loop.preview-cases", scans_in(input[0]),
                ),
            ),
            reads=[read_all(input[:1], "--no-labels"), *read_test()],
        ),
    shell:
        "({params.command}) 2>&1 | tee {output}"


rule pseudo_label:
    input:
        config["datalist"],
        teacher_file,
        ancient(PREVIEW),
    output:
        OUTPUT / "round_{round}" / "labels" / "datalist.json",
    params:
        command=lambda wildcards: label_command(
            int(wildcards.round), config["datalist"], OUTPUT / f"round_{wildcards.round}" / "labels"
        ),
    shell:
        "{PYTHON} {params.command}"


rule train:
    input:
        OUTPUT / "round_{round}" / "labels" / "datalist.json",
    output:
        OUTPUT / "round_{round}" / "model" / "model.json",
    params:
        content=content_of("self_training"),
        command=lambda wildcards: training(
            "finetune", "self_training",
            "--run-folder", OUTPUT / f"round_{wildcards.round}",
            "--data.datalists", OUTPUT / f"round_{wildcards.round}" / "labels" / "datalist.json",
            "--data.cache", OUTPUT / "cache",
            "--start", teacher(int(wildcards.round)),
            *config["train_flags"],
        ),
    shell:
        "{PYTHON} {params.command}"


rule evaluate:
    input:
        model=LAST,
        test=config["test"] or [],
    output:
        OUTPUT / "evaluation" / "summary.csv",
    params:
        command=lambda wildcards: call(
            "../evaluate_challenge", "evaluate",
            "--model", LAST.parent,
            "--datalists", config["test"],
            "--output", OUTPUT / "evaluation",
        ),
    shell:
        "{PYTHON} {params.command}"
