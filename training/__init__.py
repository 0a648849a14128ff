"""From labelled opinions to a released artifact: fine-tune, calibrate, export, evaluate."""
