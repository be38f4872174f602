# One labelled template -> features of all volumes -> labels by likeness -> rounds of training and refinement -> a package.
#
#   snakemake -s scripts/train/workflows/one_label.smk --cores 1 --config datalist=liqa.json template=1009-A-S1
#
# The datalist comes from scripts/import_dataset.py; of its labels only the template's are read. What was stopped
# resumes where it was; after a kill, unlock first (snakemake --unlock) and add --rerun-incomplete.
configfile: Path(workflow.basedir) / "one_label.yaml"
include: "common.smk"

OUTPUT = Path(config["output"])
FIRST = OUTPUT / "round_0" / "labels" / "datalist.json"
SETTINGS = "one_label"


def first_labels_command(datalist, output, *more):
    return call(
        "first_labels", "first_labels",
        "--datalists", datalist,
        "--template", config["template"],
        "--organs", *config["organs"],
        "--encoder", config["encoder"],
        "--cache", OUTPUT / "cache",
        "--output", output,
        *config["first_labels_flags"],
        *more,
    )


def rounds_command(datalist, run_folder, *more):
    return training(
        "one_label", planned(SETTINGS),
        "--run-folder", run_folder,
        "--data.datalists", datalist,
        "--data.organs", *config["organs"],
        "--data.cache", OUTPUT / "cache",
        "--specialist", config["specialist"],
        "--refinement.mode", config["refinement"],
        "--rounds", config["rounds"],
        *config["rounds_flags"],
        *more,
    )


rule all:
    input:
        OUTPUT / "model" / "model.json",
        *([OUTPUT / "evaluation" / "summary.csv"] if config["test"] else []),


# Before all, if `plan` is set: spacing, patch and strides by the template.
rule plan:
    input:
        config["datalist"],
    output:
        OUTPUT / "plans" / "{settings}.yaml",
    params:
        command=lambda wildcards: plan_command(
            SETTINGS, [config["datalist"]],
            "--labelled.patients", config["template"],
            "--organs", *config["organs"],
            "--network", "stunet",
        ),
    shell:
        "{PYTHON} {params.command}"


# It comes first: volumes and inferences, steps, disk, memory and hours; an error if memory or disk will not do.
rule preview:
    input:
        config["datalist"],
        plan_of(SETTINGS),
    output:
        PREVIEW,
    params:
        command=lambda wildcards, input: previewed(
            ("first labels:", first_labels_command(input[0], OUTPUT, "--preview")),
            (
                f"{config['rounds']} rounds, each:",
                rounds_command(
                    OUTPUT / "preview" / "datalist.json",  # of the few that were just labelled
                    OUTPUT,
                    "--loop.preview",
                    "--loop.preview-cases", scans_in(input[0]),
                ),
            ),
            reads=[read_all(input[:1], "--no-labels"), *read_test()],
        ),
    shell:
        "({params.command}) 2>&1 | tee {output}"


rule first_labels:
    input:
        config["datalist"],
        ancient(PREVIEW),
    output:
        FIRST,
    params:
        command=lambda wildcards: first_labels_command(config["datalist"], FIRST.parent),
    shell:
        "{PYTHON} {params.command}"


rule rounds:
    input:
        FIRST,
        plan_of(SETTINGS),
    output:
        OUTPUT / "model" / "model.json",
    params:
        content=content_of(SETTINGS),
        command=lambda wildcards: rounds_command(FIRST, OUTPUT),
    shell:
        "{PYTHON} {params.command}"


rule evaluate:
    input:
        model=OUTPUT / "model" / "model.json",
        test=config["test"] or [],
    output:
        OUTPUT / "evaluation" / "summary.csv",
    params:
        command=lambda wildcards: call(
            "../evaluate_challenge", "evaluate",
            "--model", OUTPUT / "model",
            "--datalists", config["test"],
            "--output", OUTPUT / "evaluation",
        ),
    shell:
        "{PYTHON} {params.command}"
