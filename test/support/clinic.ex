defmodule DNSMesh.Test.Clinic do
  @moduledoc """
  The doctor at a test node: what it must say, and that it has nothing to say any more once that is mended.

      sick(a, :wrong_cookie, says: "app@127.0.0.3", fix: "RELEASE_COOKIE")
      TestNode.call(b, :erlang, :set_cookie, [:right])
      well(a, [b])
  """

  import ExUnit.Assertions

  alias DNSMesh.Test.{Await, TestNode}

  # Each look may take as long as something is silent.
  @patience 15_000

  @doc "Lets the doctor examine the instance `:name`, with the doctor's own options."
  @spec doctor(TestNode.t(), keyword) :: DNSMesh.Diagnosis.t()
  def doctor(node, opts \\ []) do
    {name, opts} = Keyword.pop(opts, :name, DNSMesh)
    TestNode.call(node, DNSMesh, :doctor, [name, [print: false] ++ opts])
  end

  @doc """
  Asserts the verdict, and what its sentence (`:says`) and fix (`:fix`) hold. `:eventually` waits until it is that verdict,
  for what takes a poll.
  """
  @spec sick(TestNode.t(), atom, keyword) :: DNSMesh.Diagnosis.t()
  def sick(node, verdict, opts) do
    {about, opts} = Keyword.split(opts, [:says, :fix, :eventually])

    diagnosis =
      if about[:eventually], do: eventually(node, verdict, opts), else: doctor(node, opts)

    assert diagnosis.verdict == verdict, "expected #{verdict}, got:\n#{diagnosis}"
    refute diagnosis.healthy?
    assert diagnosis.sentence =~ about[:says]
    assert diagnosis.fix =~ about[:fix]
    diagnosis
  end

  @doc "Asserts that the node gets connected to the others, and that the doctor then finds nothing."
  @spec well(TestNode.t(), [TestNode.t() | node], keyword) :: true
  def well(node, others, opts \\ []) do
    assert TestNode.await_nodes(node, others),
           "not cured, the doctor says:\n#{doctor(node, opts)}"

    assert %{healthy?: true} = eventually(node, :connected, opts)
    true
  end

  @doc "Waits until the table says that about a peer."
  @spec eventually_row(TestNode.t(), String.t(), Regex.t()) :: DNSMesh.Diagnosis.row()
  def eventually_row(node, subject, said) do
    Await.await(
      fn ->
        Enum.find(doctor(node).table, &(&1.subject == subject and &1.said =~ said))
      end,
      @patience
    )
  end

  defp eventually(node, verdict, opts) do
    Await.await(
      fn ->
        diagnosis = doctor(node, opts)
        diagnosis.verdict == verdict && diagnosis
      end,
      @patience
    )
  rescue
    # What it says instead tells more than that it did not say it.
    _late in RuntimeError -> doctor(node, opts)
  end
end
