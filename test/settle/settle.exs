# The driver. test/settle/check has prepared all that it needs: the network namespace it runs in, the compiled beams.

Code.require_file("../support/scripted_dns.ex", __DIR__)

Code.require_file("load.exs", __DIR__)

defmodule Settle do
  alias Settle.{Lab, Net, Picture, Plan, Report, SideBySide, Story}

  def main(arguments) do
    case Plan.chosen(arguments) do
      {:ok, runs} -> play_all(runs)
      {:error, sentence} -> finish(sentence, 2)
    end
  end

  defp play_all(runs) do
    settings = %{
      prefix: System.fetch_env!("SETTLE_PREFIX"),
      folder: System.fetch_env!("SETTLE_FOLDER")
    }

    results =
      SideBySide.run(Enum.with_index(runs, 1), fn {run, _} -> run.hosts end, fn {run, number} ->
        {run, play(run, number, settings)}
      end)

    case for({run, {:failed, _, _}} <- results, do: run.id) do
      [] -> finish(briefs(results), 0)
      failed -> finish("#{Enum.join(failed, ", ")} of #{length(runs)}", 1)
    end
  end

  # The line for check, which closes with it.
  defp finish(text, status) do
    File.write!(System.fetch_env!("SETTLE_SUMMARY"), text)
    System.halt(status)
  end

  defp play(run, number, settings) do
    net = %Net{prefix: settings.prefix, lab: number}

    result =
      try do
        lab = Lab.open(run, number, settings)
        lab = Story.tell(run.story, lab, run)
        run |> Picture.new(Lab.mark(lab, :finish)) |> Report.result()
      rescue
        error -> {:failed, "#{run.id}: #{Exception.message(error)}", "did not come to its end"}
      after
        Lab.close(net, run.hosts)
      end

    IO.puts("   " <> elem(result, 1))
    result
  end

  defp briefs(results),
    do: Enum.map_join(results, "; ", fn {run, {_, _, figures}} -> Report.brief(run, figures) end)
end

Settle.main(System.argv())
