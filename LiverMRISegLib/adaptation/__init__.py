"""From labelled CT to MR: translation, pseudo labels, matching of domains."""
