# How long the first `mix compile` takes, in a copy of the sources with nothing built. The crates are downloaded already.
Code.require_file("support.exs", __DIR__)

defmodule DNSMesh.Bench.ColdCompile do
  alias DNSMesh.Bench.{Samples, Table}

  @root Path.expand("..", __DIR__)
  @sources ~w(mix.exs mix lib config native Cargo.toml Cargo.lock rustfmt.toml)
  # A folder of somebody else's choice would not be empty.
  @environment [{"CARGO_TARGET_DIR", nil}, {"MIX_BUILD_PATH", nil}, {"MIX_ENV", "prod"}]

  def run do
    folder = Path.join(System.tmp_dir!(), "dns_mesh_cold_#{System.pid()}")
    File.mkdir_p!(folder)
    for source <- @sources, do: File.cp_r!(Path.join(@root, source), Path.join(folder, source))

    cold = Samples.time(fn -> compile(folder) end)
    warm = for _ <- 1..5, do: Samples.time(fn -> compile(folder) end)
    File.rm_rf!(folder)

    Table.header()

    Table.row(
      what: "cold mix compile",
      measured: Table.time(cold),
      goal: {"≤ 60 s on 2 cores", cold <= 60_000_000}
    )

    Table.row(
      what: "mix compile with nothing to do, the VM's start included",
      measured: Table.time(Samples.median(warm))
    )
  end

  defp compile(folder) do
    {output, status} =
      System.cmd("mix", ["compile"], cd: folder, env: @environment, stderr_to_stdout: true)

    status == 0 || raise output
  end
end

DNSMesh.Bench.ColdCompile.run()
