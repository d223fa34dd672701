"""Studies: many runs from one TOML file, their rows, tables, figures and findings.

study_file    FILE.toml -> Study, every problem named with file, key, value and cure
run_spec      one run: a game, a method, its settings; what makes two runs the same
runs          carries one run out: result and certificate
campaign      all runs of a study: resume, executor, progress; then rows and analysis
rows          rows.csv, curves.csv and prices.csv from the run folders
statistics    spread over seeds, intervals compared
typesetting   tables as Markdown and LaTeX
drawing       figures as SVG and PDF
findings      text whose numbers are all inserted
paper         what is known of the paper's claims
tariff_and_residual, kappa_xi, optimality_gaps, value_of_anticipation: the analyses
"""
