# Label maps -> a model like the default one, by its recipe -> its figures on real MR volumes.
#
#   snakemake -s scripts/train/workflows/any_sequence.smk --cores 1
#
# A run that was stopped resumes where it was; after a kill, unlock first (snakemake --unlock) and add --rerun-incomplete.
configfile: Path(workflow.basedir) / "any_sequence.yaml"
include: "common.smk"

OUTPUT = Path(config["output"])
MODEL = OUTPUT / "model" / "model.json"
config_file(config["recipe"], "recipes")  # a misspelt one is named before anything runs


rule all:
    input:
        MODEL,
        *([OUTPUT / "evaluation" / "metrics.json"] if config["test"] else []),


# It comes first: steps, inferences, disk, memory and hours of the training; an error if memory or disk will not do.
rule preview:
    output:
        PREVIEW,
    params:
        command=lambda wildcards, output: previewed((
            "training:",
            call(
                "finetune", config["recipe"],
                "--run-folder", Path(output[0]).parent / "preview", "--loop.preview",
                folder="recipes",
            ),
        )),
    shell:
        "({params.command}) 2>&1 | tee {output}"


rule train:
    input:
        ancient(PREVIEW),
    output:
        MODEL,
    params:
        command=lambda wildcards, output: call(
            "finetune", config["recipe"], "--run-folder", Path(output[0]).parents[1], folder="recipes"
        ),
    shell:
        "{params.command}"


rule evaluate:
    input:
        MODEL,
    output:
        OUTPUT / "evaluation" / "metrics.json",
    params:
        command=lambda wildcards, input, output: quoted(
            sys.executable, SCRIPTS / "evaluate_any_sequence.py", "--model", Path(input[0]).parent,
            "--data", config["test"], "--output", Path(output[0]).parent,
        ),
    shell:
        "{params.command}"
