defmodule DNSMesh.Test.Atoms do
  @moduledoc """
  Whether a text has become an atom. The VM's count of atoms tells nothing while other tests run: a module that is
  loaded brings hundreds.
  """

  @spec atom?(String.t()) :: boolean
  def atom?(text) do
    is_atom(String.to_existing_atom(text))
  rescue
    ArgumentError -> false
  end
end
