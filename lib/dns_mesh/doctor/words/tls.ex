defmodule DNSMesh.Doctor.Words.TLS do
  @moduledoc false
  # What TLS has against a peer, or a peer against this node. Pure.

  alias DNSMesh.Doctor.Facts
  alias DNSMesh.{Error, IP, NodeName}

  # Where OTP says the same.
  @logs "OTP says so in the log too: here in a line that begins with TLS client, there with TLS server"

  @doc "What is wrong, and what to do; neither with a full stop."
  @spec say(Facts.peer()) :: {what :: String.t(), fix :: String.t()}
  def say(%{greeting: {:tls_failed, :options, words}}) do
    {"this node cannot speak TLS with the options it was booted with (#{words})",
     "mend the client's part of its -ssl_dist_optfile, and restart it"}
  end

  def say(%{greeting: {:tls_failed, :theirs, words}} = peer) do
    {"this node does not take its TLS certificate, or the way it speaks TLS (#{words})",
     "#{theirs(words, peer)}. #{@logs}"}
  end

  def say(%{greeting: {:tls_failed, :ours, words}}) do
    {"it does not take this node's TLS certificate, or the way this node speaks TLS (#{words})",
     "#{ours(words)}. #{@logs}"}
  end

  def say(%{reason: reason}) do
    {"its distribution port is open, and it could not be connected over TLS (#{Error.message(reason)})",
     "look at the log of both nodes: a line that begins with TLS client, or TLS server, names what is wrong with a " <>
       "certificate; one of an invalid challenge is the cookie"}
  end

  defp theirs(words, peer) do
    {_basename, host} = NodeName.split(peer.name)

    cond do
      words =~ "hostname_check_failed" ->
        "have its certificate name #{host} as a subject alternative name, #{kinds(host)}, and restart it"

      words =~ "Unknown CA" ->
        "have the cacertfile under client in this node's -ssl_dist_optfile hold the authority that has signed it, and " <>
          "restart this node"

      words =~ "Expired" ->
        "renew its certificate; or set this host's clock"

      true ->
        alike()
    end
  end

  defp ours(words) do
    cond do
      words =~ "Unknown CA" ->
        "have the cacertfile under server in that node's -ssl_dist_optfile hold the authority that has signed this node's " <>
          "certificate, and restart it"

      words =~ "Expired" ->
        "renew this node's certificate; or set that host's clock"

      words =~ ~r/Certificate Required|Handshake Failure|Bad Certificate/ ->
        "have this node show a certificate that the other one takes: certfile and keyfile under client in its " <>
          "-ssl_dist_optfile, and restart it"

      true ->
        alike()
    end
  end

  # OTP looks for the text of an address among the host names.
  defp kinds(host) do
    if match?({:ok, _ip}, IP.parse(host)),
      do: "as iPAddress and as dNSName too",
      else: "as dNSName"
  end

  defp alike,
    do:
      "boot all nodes with the same -ssl_dist_optfile, each with a certificate of its own, and with one OTP release"
end
