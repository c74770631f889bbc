defmodule DNSMesh.Build.PackageTest do
  # Whoever gets DNSMesh from Hex gets the files that mix.exs lists and builds the resolver from them.
  use ExUnit.Case, async: true

  alias DNSMesh.Test.{BuildFolder, StandInRust}

  setup do
    package = BuildFolder.new!()
    checkout = BuildFolder.checkout()

    files =
      for pattern <- Mix.Project.config()[:package][:files],
          path <- Path.wildcard(Path.join(checkout, pattern), match_dot: true) do
        relative = Path.relative_to(path, checkout)
        File.mkdir_p!(Path.dirname(Path.join(package, relative)))
        File.cp_r!(path, Path.join(package, relative))
        relative
      end

    %{package: package, files: files}
  end

  test "the package holds all that Cargo needs", %{package: package} do
    # Reads every manifest of the workspace, and fails when a member, its source or the lock file is missing.
    {output, status} =
      BuildFolder.run(
        package,
        "cargo",
        ~w(metadata --locked --quiet --format-version 1),
        []
      )

    assert status == 0, output
  end

  test "the package holds all that Mix needs", %{package: package, files: files} do
    assert ".formatter.exs" in files
    rust = StandInRust.new!()
    environment = [{"PATH", StandInRust.path(rust)}, {"MIX_ENV", "prod"}]
    {output, status} = BuildFolder.run(package, "mix", ["compile"], environment)
    assert status == 0, output
    assert [_] = StandInRust.builds(rust)
  end

  test "nothing that was built goes along", %{package: package} do
    built =
      Path.wildcard("#{package}/**/*.{so,o,rlib,beam}") ++
        Path.wildcard("#{package}/{priv,_build,target}")

    assert built == []
  end
end
