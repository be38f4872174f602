"""The subcommands of `livermriseg`: each file adds its parser and runs, importing what is heavy only when it runs."""
