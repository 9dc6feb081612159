[DEFAULT]
user=ocid1.user.oc1..aaaa
tenancy=ocid1.tenancy.oc1..aaaa
fingerprint=aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa
key_file=/no/such
region=us-ashburn-1
