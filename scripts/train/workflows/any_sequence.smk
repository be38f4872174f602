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
if config["test"] and not Path(config["test"]).is_dir():
    raise WorkflowError(f"test: there is no folder {config['test']}; test= (empty) makes the model and does not judge it")


rule all:
    input:
        MODEL,
        *([OUTPUT / "evaluation" / "metrics.json"] if config["test"] else []),


# It comes first: steps, inferences, disk, memory and hours of the training; an error if memory or disk will not do.
rule preview:
    output:
        PREVIEW,
    params:
        command=lambda wildcards, output: previewed(
            (
                "training:",
                training(
                    "finetune", config["recipe"],
                    "--run-folder", Path(output[0]).parent / "preview", "--loop.preview",
                    folder="recipes",
                ),
            ),
            reads=[],
        ),
    shell:
        "({params.command}) 2>&1 | tee {output}"


rule train:
    input:
        ancient(PREVIEW),
    output:
        MODEL,
    params:
        content=content_of(config["recipe"], "recipes"),
        command=lambda wildcards: training("finetune", config["recipe"], "--run-folder", OUTPUT, folder="recipes"),
    shell:
        "{PYTHON} {params.command}"


rule evaluate:
    input:
        MODEL,
    output:
        OUTPUT / "evaluation" / "metrics.json",
    params:
        command=lambda wildcards: quoted(
            SCRIPTS / "evaluate_any_sequence.py", "--model", MODEL.parent,
            "--data", config["test"], "--output", OUTPUT / "evaluation",
        ),
    shell:
        "{PYTHON} {params.command}"
