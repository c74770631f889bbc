# The driver's modules, without running anything.
for file <- ~w(say log links net lab plan story picture story_checks checks report side_by_side),
    do: Code.require_file("#{file}.exs", __DIR__)
