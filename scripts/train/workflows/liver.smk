# (STU-Net checkpoint) -> fine-tuning on ATLAS -> semi-supervised training on LiQA -> a package per group of sequences
# -> its figures by sequence, vendor, and in and out of distribution (the paper's tables).
#
#   snakemake -s scripts/train/workflows/liver.smk --cores 1 --config atlas=atlas.json liqa=liqa.json start=small_ep4k.model
#
# The datalists come from scripts/import_dataset.py. A stage that was stopped resumes from its last checkpoint.
configfile: Path(workflow.basedir) / "liver.yaml"
include: "common.smk"

OUTPUT = Path(config["output"])
METHOD = config["method"]
FINETUNE, METHOD_CONFIG = SETTINGS = config["finetune"], config["method_config"] or config["method"]
METHODS = ("cross_pseudo_supervision", "bidirectional_copy_paste", "intermediate_domains", "mean_teacher", "dual_task")
if METHOD not in METHODS:
    raise WorkflowError(f"method: there is no {METHOD}; choose from {', '.join(METHODS)}")
for settings in SETTINGS:  # a misspelt one is named before anything runs
    config_file(settings)
JUDGED = [name for name, group in config["groups"].items() if config["test"] and group.get("judged")]


def named(flag, values):
    """A flag with its values; nothing where there are none."""
    return [flag, *values] if values else []


def group_flags(name):
    group = config["groups"][name]
    return [
        "--data.labelled.sequences", *group["labelled"],
        "--data.unlabelled.sequences", *group["unlabelled"],
        *named("--sequences", group.get("meant")),
        *group.get("flags", []),
    ]


rule all:
    input:
        expand(OUTPUT / "{group}" / "model" / "model.json", group=config["groups"]),
        expand(OUTPUT / "{group}" / "evaluation" / "groups.csv", group=JUDGED),


# Before all, if `plan` is set: spacing, patch and strides by ATLAS's labelled volumes, for both trainings.
rule plan:
    input:
        config["atlas"],
    output:
        OUTPUT / "plans" / "{settings}.yaml",
    params:
        command=lambda wildcards: plan_command(
            next(s for s in SETTINGS if config_file(s).stem == wildcards.settings), [config["atlas"]],
            "--network", "stunet",
        ),
    shell:
        "{PYTHON} {params.command}"


# It comes first: steps, inferences, disk, memory and hours of every training; an error if memory or disk will not do.
rule preview:
    input:
        *(plan for settings in SETTINGS for plan in plan_of(settings)),
        atlas=config["atlas"],
        liqa=config["liqa"],
    output:
        PREVIEW,
    params:
        command=lambda wildcards, input: previewed(
            (
                "fine-tuning:",
                training(
                    "finetune", planned(FINETUNE),
                    "--run-folder", OUTPUT / "preview",
                    "--data.datalists", input.atlas,
                    "--data.cache", OUTPUT / "cache",
                    *config["finetune_flags"],
                    "--loop.preview",
                ),
            ),
            *(
                (
                    f"{name}:",
                    training(
                        METHOD, planned(METHOD_CONFIG),
                        "--run-folder", OUTPUT / "preview",
                        "--data.datalists", input.liqa,
                        "--data.cache", OUTPUT / "cache",
                        "--start", "", "--no-keep-heads",  # which is not there yet; the cost is the same
                        *group_flags(name),
                        *config["method_flags"],
                        "--loop.preview",
                    ),
                )
                for name in config["groups"]
            ),
            reads=[
                read_all([input.atlas, input.liqa]),
                *(each for name in JUDGED for each in read_test("--pool.sequences", *config["groups"][name]["judged"])),
            ],
        ),
    shell:
        "({params.command}) 2>&1 | tee {output}"


rule finetune:
    input:
        plan_of(FINETUNE),
        ancient(PREVIEW),
        atlas=config["atlas"],
    output:
        OUTPUT / "finetune" / "model" / "model.json",
    params:
        content=content_of(FINETUNE),
        command=lambda wildcards: training(
            "finetune", planned(FINETUNE),
            "--run-folder", OUTPUT / "finetune",
            "--data.datalists", config["atlas"],
            "--data.cache", OUTPUT / "cache",
            *(["--start", config["start"]] if config["start"] else []),
            *config["finetune_flags"],
        ),
    shell:
        "{PYTHON} {params.command}"


rule semi_supervised:
    input:
        plan_of(METHOD_CONFIG),
        liqa=config["liqa"],
        start=OUTPUT / "finetune" / "model" / "model.json",
    output:
        OUTPUT / "{group}" / "model" / "model.json",
    wildcard_constraints:
        group="|".join(config["groups"]),
    params:
        content=content_of(METHOD_CONFIG),
        command=lambda wildcards: training(
            METHOD, planned(METHOD_CONFIG),
            "--run-folder", OUTPUT / wildcards.group,
            "--data.datalists", config["liqa"],
            "--data.cache", OUTPUT / "cache",
            "--start", OUTPUT / "finetune" / "model",
            "--name", wildcards.group,
            *group_flags(wildcards.group),
            *config["method_flags"],
        ),
    shell:
        "{PYTHON} {params.command}"


rule evaluate:
    input:
        model=OUTPUT / "{group}" / "model" / "model.json",
        test=config["test"] or [],
    output:
        OUTPUT / "{group}" / "evaluation" / "groups.csv",
    wildcard_constraints:
        group="|".join(config["groups"]),
    params:
        command=lambda wildcards: call(
            "../evaluate_challenge", "evaluate",
            "--model", OUTPUT / wildcards.group / "model",
            "--datalists", config["test"],
            "--split", config["test_split"],
            "--pool.sequences", *config["groups"][wildcards.group]["judged"],
            *named("--seen-vendors", config["seen_vendors"]),
            "--output", OUTPUT / wildcards.group / "evaluation",
            *config["test_flags"],
        ),
    shell:
        "{PYTHON} {params.command}"
