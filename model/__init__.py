"""What an opinion is about and who answers: labels, text, classifier, calibration, routing."""
