defmodule DNSMesh.Options do
  @moduledoc false
  # What is said of options alike, wherever they are given.

  @doc "Raises unless the options are a keyword list."
  @spec keyword!(term()) :: :ok
  def keyword!(opts) do
    if Keyword.keyword?(opts),
      do: :ok,
      else:
        raise(ArgumentError, "expected the options to be a keyword list, got: #{inspect(opts)}")
  end

  @doc "Raises for an option that is none of these, too."
  @spec known!(term(), [atom()]) :: :ok
  def known!(opts, keys) do
    keyword!(opts)

    for {key, value} <- opts, key not in keys do
      raise ArgumentError,
            "unknown option #{inspect(key)}, expected one of #{inspect(keys)}, got: #{inspect(value)}"
    end

    :ok
  end
end
