"""The CronJob controller: makes Jobs when their time has come."""
