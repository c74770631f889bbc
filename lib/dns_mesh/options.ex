defmodule DNSMesh.Options do
  @moduledoc false
  # What is said of options alike, wherever they are given. Never the cookie, nor what could be it.

  alias DNSMesh.Secret

  @doc "Raises unless the options are a keyword list."
  @spec keyword!(term()) :: :ok
  def keyword!(opts) do
    if Keyword.keyword?(opts),
      do: :ok,
      else: raise(ArgumentError, "expected the options to be a keyword list, got: #{shape(opts)}")
  end

  @doc "Raises for an option that is none of these, too."
  @spec known!(term(), [atom()]) :: :ok
  def known!(opts, keys) do
    keyword!(opts)

    # Not its value: of :cokie that would be the cookie.
    for {key, _value} <- opts, key not in keys do
      raise ArgumentError, "unknown option #{inspect(key)}, expected one of #{inspect(keys)}"
    end

    :ok
  end

  @doc "What came in place of options, for an error's text: any map or list may hold a cookie."
  @spec shape(term()) :: String.t()
  def shape(map) when is_map(map), do: "a map"
  def shape([_ | _]), do: "a list in which something is no pair of an atom and a value"
  def shape(other), do: inspect(other)

  @doc "An option's value for an error's text."
  @spec show(atom(), term()) :: String.t()
  def show(:cookie, value) do
    case Secret.reveal(value) do
      empty when empty in ["", :""] -> inspect(empty)
      text when is_binary(text) -> "#{text_shape(text)}, which is not shown"
      _other -> "something else, which is not shown"
    end
  end

  def show(_key, value), do: inspect(value)

  defp text_shape(text) do
    if String.valid?(text),
      do: "a string of #{String.length(text)} characters",
      else: "a string that is not UTF-8"
  end

  @doc "The options with the ticket of the cookie in its place, for what keeps them: a child specification."
  @spec hide_cookie(term()) :: term()
  def hide_cookie(%{cookie: cookie} = opts) when cookie != nil,
    do: %{opts | cookie: Secret.hide(cookie)}

  def hide_cookie([{:cookie, cookie} | rest]) when cookie != nil,
    do: [{:cookie, Secret.hide(cookie)} | hide_cookie(rest)]

  def hide_cookie([other | rest]), do: [other | hide_cookie(rest)]
  def hide_cookie(other), do: other

  @doc "Arguments of a command for an error's text, without what follows a flag: one mistyped may have been --cookie."
  @spec show_arguments([String.t()]) :: String.t()
  def show_arguments(["--" <> flag | rest]) do
    {flag, rest} =
      case {String.split(flag, "=", parts: 2), rest} do
        {[flag, _value], rest} -> {flag <> "=...", rest}
        {[flag], ["--" <> _ | _] = rest} -> {flag, rest}
        {[flag], [_value | rest]} -> {flag <> " ...", rest}
        {[flag], []} -> {flag, []}
      end

    String.trim_trailing("--#{flag} #{show_arguments(rest)}")
  end

  def show_arguments([argument | rest]),
    do: String.trim_trailing("#{argument} #{show_arguments(rest)}")

  def show_arguments([]), do: ""
end
