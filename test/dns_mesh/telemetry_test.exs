defmodule DNSMesh.TelemetryTest do
  use ExUnit.Case, async: true
  doctest DNSMesh.Telemetry

  import ExUnit.CaptureLog

  alias DNSMesh.Telemetry
  alias DNSMesh.Test.Telemetry, as: Subscriber

  defp docs do
    {:docs_v1, _, _, _, %{"en" => docs}, _, _} = Code.fetch_docs(Telemetry)
    docs
  end

  # What the library's sources emit: every literal of that shape outside the room of the events itself.
  defp emitted do
    for file <- Path.wildcard("lib/**/*.ex"),
        Path.basename(file) not in ["telemetry.ex", "words.ex", "problems.ex"],
        [_, a, b] <-
          Regex.scan(
            ~r/[(,]\s*\[:(lookup|round|ask|await|join|node|peers|problem), :(\w+)\]/,
            File.read!(file)
          ),
        uniq: true,
        do: [:dns_mesh, String.to_existing_atom(a), String.to_existing_atom(b)]
  end

  test "the table of events, the list of events and what the code emits are the same" do
    documented =
      for [_, a, b] <- Regex.scan(~r/^\| `\[:dns_mesh, :(\w+), :(\w+)\]`/m, docs()),
          do: [:dns_mesh, String.to_existing_atom(a), String.to_existing_atom(b)]

    told_by_problems = for what <- [:raised, :cleared], do: [:dns_mesh, :problem, what]
    assert Enum.sort(documented) == Enum.sort(Telemetry.events())
    assert Enum.sort(emitted() ++ told_by_problems) == Enum.sort(Telemetry.events())
  end

  test "the table of problems and the list of problems are the same" do
    [_, table] = String.split(docs(), "What belongs to a problem:")
    first_cells = for "| " <> row <- String.split(table, "\n"), do: hd(String.split(row, "|"))
    documented = for [_, name] <- Regex.scan(~r/`:(\w+)`/, Enum.join(tl(first_cells))), do: name
    assert Enum.sort(documented) == Enum.sort(Enum.map(Telemetry.problems(), &Atom.to_string/1))
  end

  test "a problem outside the list cannot be told" do
    assert_raise MatchError, fn ->
      Telemetry.emit([:problem, :raised], %{}, %{mesh: DNSMesh, problem: :unheard_of}, false)
    end
  end

  describe "an event" do
    test "goes to :telemetry under its full name, with the instance in the metadata", %{
      test: mesh
    } do
      Subscriber.subscribe(mesh)
      Telemetry.prepare()
      Telemetry.emit([:round, :stop], %{duration: 1}, %{mesh: mesh}, false)
      assert_receive {:telemetry, [:dns_mesh, :round, :stop], %{duration: 1}, %{mesh: ^mesh}}
    end

    test "that is a problem is a warning; one that is news has the level of the instance; false silences both",
         %{test: mesh} do
      news = fn level ->
        Telemetry.emit(
          [:peers, :changed],
          %{connected: 1},
          %{mesh: mesh, joined: ["a@1"], left: []},
          level
        )
      end

      problem = fn level ->
        Telemetry.emit(
          [:problem, :raised],
          %{lasted: 0, times: 1},
          %{mesh: mesh, problem: :short_names, node: "a@b", peers: []},
          level
        )
      end

      assert capture_log(fn -> problem.(:debug) end) =~ "[warning]"
      assert capture_log(fn -> news.(:error) end) =~ ~r/\[error\].*joined 1: a@1/
      refute capture_log(fn -> {news.(false), problem.(false)} end) =~ inspect(mesh)
    end
  end
end
