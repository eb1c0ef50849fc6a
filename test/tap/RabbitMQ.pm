# A RabbitMQ of our own, as an ordinary user, on loopback, with nothing of the system's.
package RabbitMQ;

use strict;
use warnings;

use IO::Socket::INET;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

use MistralTest;

my $program = '/usr/lib/rabbitmq/bin/rabbitmq-server';

sub available { return -x $program }

# tls => DIRECTORY: it speaks TLS, too, with the files ca, server.crt and server.key there; of clients it takes certificates of that authority, or none.
sub new
{
	my ($class, %options) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my @ports = map { PostgreSQL::Test::Cluster::get_free_port() } 1 .. 3;
	my $self = bless { dir => $dir, port => $ports[0], arguments => [ $dir, @ports ] }, $class;

	if ($options{tls})
	{
		$self->{tls_port} = PostgreSQL::Test::Cluster::get_free_port();
		append_to_file("$dir/rabbit.conf",
			join("\n", "listeners.ssl.1 = 127.0.0.1:$self->{tls_port}", "ssl_options.cacertfile = $options{tls}/ca", "ssl_options.certfile = $options{tls}/server.crt",
				"ssl_options.keyfile = $options{tls}/server.key", 'ssl_options.verify = verify_peer', 'ssl_options.fail_if_no_peer_cert = false', ''));
	}
	return $self;
}

sub url
{
	my ($self, $password) = @_;
	return 'amqp://guest:' . ($password // 'guest') . "\@127.0.0.1:$self->{port}/%2F";
}

sub tls_url
{
	my ($self, $host, $password) = @_;
	return 'amqps://guest:' . ($password // 'guest') . "\@$host:$self->{tls_port}/%2F";
}

# True when it answers.
sub start
{
	my ($self) = @_;

	$self->{process} = IPC::Run::start([ 'bash', 'test/lib/rabbitmq.sh', 'start', @{ $self->{arguments} } ], '<', \undef, '>', "$self->{dir}/out", '2>&1');
	return wait_for(
		sub {
			IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Timeout => 1) && slurp_file("$self->{dir}/out") =~ /completed with/;
		},
		180);
}

# The pid of the virtual machine, which the script has become or started.
sub pid
{
	my ($self) = @_;
	my $pid = slurp_file("$self->{dir}/pid");
	chomp $pid;
	return $pid;
}

sub kill
{
	my ($self) = @_;
	return unless $self->{process};
	CORE::kill('KILL', $self->pid()) if -s "$self->{dir}/pid";
	$self->{process}->kill_kill(grace => 1);
	delete $self->{process};
	return;
}

sub stop
{
	my ($self) = @_;

	$self->kill();
	system('bash', 'test/lib/rabbitmq.sh', 'stop', @{ $self->{arguments} });
	return;
}

sub peer
{
	my ($self, @arguments) = @_;
	my ($out, $err);

	IPC::Run::run([ $ENV{PYTHON} // 'python3', 'test/lib/amqp_peer.py', $self->url, @arguments ], '>', \$out, '2>', \$err) or die "amqp_peer.py: $err";
	return $out;
}

1;
